/* The mock's replies, built once at start: whole bodies and event streams in two wire formats. */
#ifndef BENCH_REPLIES_H
#define BENCH_REPLIES_H

#include "common.h"

enum { OPENAI, ANTHROPIC, FORMATS };

struct bytes { char *at; size_t len; };

/* steps[0] is the response head with the preamble and the first word; the last step ends the body. */
struct stream { struct bytes steps[WORD_COUNT]; struct bytes burst; };

static struct bytes whole_reply[FORMATS], models_reply;
static struct stream plain_stream[FORMATS], metered_stream[FORMATS];

static void add(struct bytes *b, const char *text, size_t len) {
    b->at = must(realloc(b->at, b->len + len + 1));
    memcpy(b->at + b->len, text, len);
    b->len += len;
    b->at[b->len] = 0;
}

static void add_text(struct bytes *b, const char *text) { add(b, text, strlen(text)); }

/* One event as one HTTP chunk, as upstreams that flush per event send it. */
static void add_event(struct bytes *b, const char *event) {
    char size[24];
    snprintf(size, sizeof size, "%zx\r\n", strlen(event));
    add_text(b, size);
    add_text(b, event);
    add_text(b, "\r\n");
}

static struct bytes json_reply(const char *body) {
    struct bytes b = {0};
    char head[160];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    add_text(&b, head);
    add_text(&b, body);
    return b;
}

#define OPENAI_CHUNK "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":"
#define OPENAI_USAGE "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":50,\"total_tokens\":250}"

static void openai_step(struct bytes *b, int i, int with_usage) {
    char event[512];
    if (i == 0) add_event(b, OPENAI_CHUNK "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n");
    snprintf(event, sizeof event, OPENAI_CHUNK "[{\"index\":0,\"delta\":{\"content\":\" " WORD_NEEDLE "%02d\"},\"finish_reason\":null}]}\n\n", i);
    add_event(b, event);
    if (i < WORD_COUNT - 1) return;
    add_event(b, OPENAI_CHUNK "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    if (with_usage) add_event(b, OPENAI_CHUNK "[]," OPENAI_USAGE "}\n\n");
    add_event(b, "data: [DONE]\n\n");
}

static void anthropic_step(struct bytes *b, int i, int with_usage) {
    char event[512];
    (void)with_usage; /* this format always reports usage */
    if (i == 0) {
        add_event(b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
                     "\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":1}}}\n\n");
        add_event(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    }
    snprintf(event, sizeof event, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
             "\"delta\":{\"type\":\"text_delta\",\"text\":\" " WORD_NEEDLE "%02d\"}}\n\n", i);
    add_event(b, event);
    if (i < WORD_COUNT - 1) return;
    add_event(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    add_event(b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                 "\"usage\":{\"output_tokens\":50}}\n\n");
    add_event(b, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static void build_stream(struct stream *s, int format, int with_usage) {
    for (int i = 0; i < WORD_COUNT; i++) {
        struct bytes *b = &s->steps[i];
        if (i == 0) add_text(b, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
        (format == OPENAI ? openai_step : anthropic_step)(b, i, with_usage);
        if (i == WORD_COUNT - 1) add_text(b, "0\r\n\r\n");
        add(&s->burst, b->at, b->len);
    }
}

static void build_replies(void) {
    char words[WORD_COUNT * 8] = "", body[2048];
    for (int i = 0; i < WORD_COUNT; i++) snprintf(words + strlen(words), 8, " " WORD_NEEDLE "%02d", i);
    snprintf(body, sizeof body, "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
             "\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}]," OPENAI_USAGE "}", words);
    whole_reply[OPENAI] = json_reply(body);
    snprintf(body, sizeof body, "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],"
             "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":50}}", words);
    whole_reply[ANTHROPIC] = json_reply(body);
    models_reply = json_reply("{\"object\":\"list\",\"data\":[{\"id\":\"mock-whole\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
                              "{\"id\":\"mock-burst\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
                              "{\"id\":\"mock-paced\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
                              "{\"id\":\"mock-ttft\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"}]}");
    for (int format = 0; format < FORMATS; format++) {
        build_stream(&plain_stream[format], format, 0);
        build_stream(&metered_stream[format], format, 1);
    }
}

#endif
