/* What makes a reply right, per wire format: its content type, a mark of its own, all content words in their order, its end.

   A reply's content comes in pieces cut anywhere, so words and marks are found across cuts too. A Responses stream says
   its text five times: in its deltas, and in the events that end the text, the part, the item and the response. */
#ifndef BENCH_CHECKS_H
#define BENCH_CHECKS_H

#include "common.h"

#define TAIL_ROOM 512

struct format {
    const char *name, *path;
    const char *whole_mark;         /* what a whole reply holds */
    const char *stream_mark, *stream_type;
    const char *closing;            /* of a stream's last event or line */
    size_t closing_within;          /* where that begins, in bytes before the end; 0: anywhere, since that event is long */
    int tellings;                   /* how often a stream says each word */
};

static const struct format formats[] = {
    {"openai_chat", "/v1/chat/completions", "\"chat.completion\"", "\"chat.completion.chunk\"", "text/event-stream", "data: [DONE]\n\n", 14, 1},
    {"openai_responses", "/v1/responses", "\"output_text\"", "\"response.created\"", "text/event-stream", "event: response.completed\n", 0, 5},
    {"openai_completions", "/v1/completions", "\"text_completion\"", "\"text_completion\"", "text/event-stream", "data: [DONE]\n\n", 14, 1},
    {"anthropic_messages", "/v1/messages", "\"stop_reason\"", "\"message_start\"", "text/event-stream", "\"message_stop\"", 64, 1},
    {"ollama", "/api/chat", "\"done\":true", "\"done\":false", "application/x-ndjson", "\"done\":true", TAIL_ROOM, 1},
};

static inline const struct format *format_named(const char *name) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) if (!strcmp(formats[i].name, name)) return &formats[i];
    return NULL;
}

/* What was seen of one reply's content. */
struct content {
    int words, out_of_order, type_fits, is_marked, is_closed;
    char tail[TAIL_ROOM]; size_t tail_len;
};

static inline void restart(struct content *c) { memset(c, 0, offsetof(struct content, tail)); c->tail_len = 0; }

/* The last bytes seen and the first ones of a piece, at most `each` of both. */
static inline size_t make_seam(const struct content *c, const char *at, size_t len, size_t each, char *seam) {
    size_t before = c->tail_len < each ? c->tail_len : each, after = len < each ? len : each;
    memcpy(seam, c->tail + c->tail_len - before, before);
    memcpy(seam + before, at, after);
    return before + after;
}

static inline int holds(const struct content *c, const char *at, size_t len, const char *mark) {
    char seam[TAIL_ROOM];
    size_t n = strlen(mark);
    return memmem(at, len, mark, n) != NULL || memmem(seam, make_seam(c, at, len, n - 1, seam), mark, n) != NULL;
}

static inline void take_words(struct content *c, const char *at, size_t len) {
    for (const char *p = at, *end = at + len; (p = memmem(p, (size_t)(end - p), WORD_NEEDLE, WORD_NEEDLE_LEN)) && end - p >= WORD_LEN; p += WORD_LEN) {
        int number = (p[WORD_NEEDLE_LEN] - '0') * 10 + p[WORD_NEEDLE_LEN + 1] - '0';
        if (number != c->words++ % WORD_COUNT) c->out_of_order = 1;
    }
}

static inline void keep_tail(struct content *c, const char *at, size_t len) {
    if (len >= TAIL_ROOM) { memcpy(c->tail, at + len - TAIL_ROOM, TAIL_ROOM); c->tail_len = TAIL_ROOM; return; }
    size_t keep = c->tail_len + len > TAIL_ROOM ? TAIL_ROOM - len : c->tail_len;
    if (keep < c->tail_len) memmove(c->tail, c->tail + c->tail_len - keep, keep);
    memcpy(c->tail + keep, at, len);
    c->tail_len = keep + len;
}

static inline void take_piece(struct content *c, const struct format *f, int stream, const char *at, size_t len) {
    char seam[2 * (WORD_LEN - 1)];
    take_words(c, seam, make_seam(c, at, len, WORD_LEN - 1, seam));
    take_words(c, at, len);
    if (!c->is_marked) c->is_marked = holds(c, at, len, stream ? f->stream_mark : f->whole_mark);
    if (stream && !f->closing_within && !c->is_closed) c->is_closed = holds(c, at, len, f->closing);
    keep_tail(c, at, len);
}

/* What a reply that came to its end lacks; NULL: nothing. */
static inline const char *lacking(const struct content *c, const struct format *f, int stream) {
    if (!c->type_fits) return "wrong content type";
    if (!c->is_marked) return "not of this format";
    if (c->words != WORD_COUNT * (stream ? f->tellings : 1)) return "not all words";
    if (c->out_of_order) return "words out of order";
    if (!stream) return NULL;
    size_t within = c->tail_len < f->closing_within ? c->tail_len : f->closing_within;
    int closed = f->closing_within ? memmem(c->tail + c->tail_len - within, within, f->closing, strlen(f->closing)) != NULL : c->is_closed;
    if (!closed || c->tail[c->tail_len - 1] != '\n') return "no closing event";
    return NULL;
}

#endif
