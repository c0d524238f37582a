/* The mock's replies, built once at start: whole bodies and streams in five wire formats, as their vendors send them. */
#ifndef BENCH_REPLIES_H
#define BENCH_REPLIES_H

#include <stdarg.h>

#include "common.h"

enum { CHAT, RESPONSES, COMPLETIONS, MESSAGES, OLLAMA, FORMATS };

struct bytes { char *at; size_t len; };

/* steps[0] is the response head with the preamble and the first word; the last step ends the body. */
struct stream { struct bytes steps[WORD_COUNT]; struct bytes burst; };

static struct bytes whole_reply[FORMATS], models_reply;
static struct stream plain_stream[FORMATS], metered_stream[FORMATS];
static char all_words[WORD_COUNT * 16];

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

static void add_made(struct bytes *b, const char *shape, ...) __attribute__((format(printf, 2, 3)));
static void add_made(struct bytes *b, const char *shape, ...) {
    char event[4096];
    va_list given;
    va_start(given, shape);
    int n = vsnprintf(event, sizeof event, shape, given);
    va_end(given);
    if (n < 0 || (size_t)n >= sizeof event) die("an event too long");
    add_event(b, event);
}

#define WORD " " WORD_NEEDLE "%02d"
#define OPENAI_USAGE "\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":50,\"total_tokens\":250}"
#define CHAT_CHUNK "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":"

static void chat_step(struct bytes *b, int i, int with_usage) {
    if (i == 0) add_event(b, CHAT_CHUNK "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n");
    add_made(b, CHAT_CHUNK "[{\"index\":0,\"delta\":{\"content\":\"" WORD "\"},\"finish_reason\":null}]}\n\n", i);
    if (i < WORD_COUNT - 1) return;
    add_event(b, CHAT_CHUNK "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    if (with_usage) add_event(b, CHAT_CHUNK "[]," OPENAI_USAGE "}\n\n");
    add_event(b, "data: [DONE]\n\n");
}

#define TEXT_CHUNK "data: {\"id\":\"cmpl-bench\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":"

static void completions_step(struct bytes *b, int i, int with_usage) {
    add_made(b, TEXT_CHUNK "[{\"text\":\"" WORD "\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n", i);
    if (i < WORD_COUNT - 1) return;
    add_event(b, TEXT_CHUNK "[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n");
    if (with_usage) add_event(b, TEXT_CHUNK "[]," OPENAI_USAGE "}\n\n");
    add_event(b, "data: [DONE]\n\n");
}

#define RESPONSE(status, output, usage) "{\"id\":\"resp_bench\",\"object\":\"response\",\"created_at\":1700000000,\"status\":\"" status "\",\"background\":false," \
    "\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"max_output_tokens\":null,\"model\":\"bench\",\"output\":[" output "]," \
    "\"parallel_tool_calls\":true,\"previous_response_id\":null,\"reasoning\":{\"effort\":null,\"summary\":null},\"store\":false,\"temperature\":1.0," \
    "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,\"truncation\":\"disabled\"," usage "\"metadata\":{}}"
#define RESPONSE_USAGE "\"usage\":{\"input_tokens\":200,\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},\"output_tokens\":50,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":250},"
#define RESPONSE_PART "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"%s\"}"
#define RESPONSE_ITEM(status, content) "{\"id\":\"msg_bench\",\"type\":\"message\",\"status\":\"" status "\",\"role\":\"assistant\",\"content\":[" content "]}"
#define RESPONSE_EVENT(type, fields) "event: response." type "\ndata: {\"type\":\"response." type "\",\"sequence_number\":%d," fields "}\n\n"
#define RESPONSE_PLACE "\"item_id\":\"msg_bench\",\"output_index\":0,\"content_index\":0,"

static void responses_step(struct bytes *b, int i, int with_usage) {
    (void)with_usage; /* this format always reports usage */
    if (i == 0) {
        add_made(b, RESPONSE_EVENT("created", "\"response\":" RESPONSE("in_progress", "", "")), 0);
        add_made(b, RESPONSE_EVENT("in_progress", "\"response\":" RESPONSE("in_progress", "", "")), 1);
        add_made(b, RESPONSE_EVENT("output_item.added", "\"output_index\":0,\"item\":" RESPONSE_ITEM("in_progress", "")), 2);
        add_made(b, RESPONSE_EVENT("content_part.added", RESPONSE_PLACE "\"part\":" RESPONSE_PART), 3, "");
    }
    add_made(b, RESPONSE_EVENT("output_text.delta", RESPONSE_PLACE "\"delta\":\"" WORD "\",\"logprobs\":[]"), i + 4, i);
    if (i < WORD_COUNT - 1) return;
    add_made(b, RESPONSE_EVENT("output_text.done", RESPONSE_PLACE "\"text\":\"%s\",\"logprobs\":[]"), i + 5, all_words);
    add_made(b, RESPONSE_EVENT("content_part.done", RESPONSE_PLACE "\"part\":" RESPONSE_PART), i + 6, all_words);
    add_made(b, RESPONSE_EVENT("output_item.done", "\"output_index\":0,\"item\":" RESPONSE_ITEM("completed", RESPONSE_PART)), i + 7, all_words);
    add_made(b, RESPONSE_EVENT("completed", "\"response\":" RESPONSE("completed", RESPONSE_ITEM("completed", RESPONSE_PART), RESPONSE_USAGE)), i + 8, all_words);
}

static void messages_step(struct bytes *b, int i, int with_usage) {
    (void)with_usage; /* this format always reports usage */
    if (i == 0) {
        add_event(b, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
                     "\"model\":\"bench\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":1}}}\n\n");
        add_event(b, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    }
    add_made(b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" WORD "\"}}\n\n", i);
    if (i < WORD_COUNT - 1) return;
    add_event(b, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    add_event(b, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                 "\"usage\":{\"output_tokens\":50}}\n\n");
    add_event(b, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

#define OLLAMA_LINE(said, rest) "{\"model\":\"bench\",\"created_at\":\"2026-01-01T00:00:00.123456789Z\",\"message\":{\"role\":\"assistant\",\"content\":\"" said "\"}," rest "}"
#define OLLAMA_DONE "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":174560334,\"load_duration\":101397084,\"prompt_eval_count\":200," \
    "\"prompt_eval_duration\":13074791,\"eval_count\":50,\"eval_duration\":52479709"

static void ollama_step(struct bytes *b, int i, int with_usage) {
    (void)with_usage; /* this format always reports counts */
    add_made(b, OLLAMA_LINE(WORD, "\"done\":false") "\n", i);
    if (i == WORD_COUNT - 1) add_event(b, OLLAMA_LINE("", OLLAMA_DONE) "\n");
}

/* `whole` takes all_words once. */
static const struct { const char *path, *stream_type; void (*step)(struct bytes *, int, int); const char *whole; } spoken[FORMATS] = {
    [CHAT] = {"/v1/chat/completions", "text/event-stream", chat_step,
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,"
        "\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}]," OPENAI_USAGE "}"},
    [RESPONSES] = {"/v1/responses", "text/event-stream", responses_step,
        RESPONSE("completed", RESPONSE_ITEM("completed", RESPONSE_PART), RESPONSE_USAGE)},
    [COMPLETIONS] = {"/v1/completions", "text/event-stream", completions_step,
        "{\"id\":\"cmpl-bench\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"text\":\"%s\",\"index\":0,"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}]," OPENAI_USAGE "}"},
    [MESSAGES] = {"/v1/messages", "text/event-stream", messages_step,
        "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],"
        "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":50}}"},
    [OLLAMA] = {"/api/chat", "application/x-ndjson", ollama_step, OLLAMA_LINE("%s", OLLAMA_DONE)},
};

static void build_stream(struct stream *s, int format, int with_usage) {
    for (int i = 0; i < WORD_COUNT; i++) {
        struct bytes *b = &s->steps[i];
        if (i == 0) {
            add_text(b, "HTTP/1.1 200 OK\r\nContent-Type: ");
            add_text(b, spoken[format].stream_type);
            add_text(b, "\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
        }
        spoken[format].step(b, i, with_usage);
        if (i == WORD_COUNT - 1) add_text(b, "0\r\n\r\n");
        add(&s->burst, b->at, b->len);
    }
}

/* The one %s of a reply's shape filled in. */
static struct bytes with_words(const char *shape) {
    struct bytes b = {0};
    const char *hole = strstr(shape, "%s");
    add(&b, shape, (size_t)(hole - shape));
    add_text(&b, all_words);
    add_text(&b, hole + 2);
    return b;
}

static void build_replies(void) {
    for (int i = 0; i < WORD_COUNT; i++) snprintf(all_words + strlen(all_words), 16, WORD, i);
    models_reply = json_reply("{\"object\":\"list\",\"data\":[{\"id\":\"mock-whole\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
                              "{\"id\":\"mock-burst\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
                              "{\"id\":\"mock-paced\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
                              "{\"id\":\"mock-ttft\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"}]}");
    for (int format = 0; format < FORMATS; format++) {
        struct bytes body = with_words(spoken[format].whole);
        whole_reply[format] = json_reply(body.at);
        free(body.at);
        build_stream(&plain_stream[format], format, 0);
        build_stream(&metered_stream[format], format, 1);
    }
}

#endif
