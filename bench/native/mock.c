/* A mock upstream, much faster than any gateway: one thread, epoll, HTTP/1.1 keep-alive, loopback only.

   usage: mock PORT [PACE_US=2000] [FIRST_MS=25] [LIFETIME_S=3600]

   POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/messages and /api/chat (the path names the format), GET
   /v1/models, GET /__stats. The model's name in the body chooses what happens:
     mock-whole  one JSON reply          mock-burst  50 content events in one write
     mock-paced  an event each PACE_US   mock-ttft   nothing for FIRST_MS, then paced
   The stream models answer whole when the body does not say "stream": true, in /api/chat when it says false. Usage in
   OpenAI's chunked streams when asked for.
   It ends by itself after LIFETIME_S, on SIGTERM, or with its parent. On SIGUSR1 the journal goes to stderr. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>

#include "replies.h"

#define FD_LIMIT 4096
#define BODY_LIMIT (8 << 20)

enum behaviour { WHOLE, BURST, PACED, TTFT, BEHAVIOURS };

struct conn {
    int fd, dead, streaming, step, close_after, polls_out;
    char *in; size_t in_len, in_cap;        /* bytes received and not yet answered */
    size_t head_len, body_len; int chunked; /* of the request being read; head_len 0 while the head is incomplete */
    struct bytes out; size_t out_at;        /* what the socket did not take yet */
    const struct stream *stream;
    int64_t due_ns;
    struct conn *next;                      /* in a waiting line, or in the bin */
};

struct line { struct conn *first, *last; }; /* of equal delays, so it stays sorted by due_ns */

static struct { long requests[BEHAVIOURS], models, refused, accepted, open, gone_mid_stream; long long bytes_in, bytes_out; } journal;
static struct line paced_line, delayed_line;
static struct conn *bin; /* closed in this round; freed at its end, since events may still name them */
static int64_t pace_ns = 2000000, first_ns = 25000000;
static int poller;
static volatile sig_atomic_t stop_asked, dump_asked;

static void on_signal(int number) { if (number == SIGUSR1) dump_asked = 1; else stop_asked = 1; }

static int journal_json(char *to, size_t room) {
    return snprintf(to, room, "{\"whole\":%ld,\"burst\":%ld,\"paced\":%ld,\"ttft\":%ld,\"models\":%ld,\"refused\":%ld,\"accepted\":%ld,\"open\":%ld,"
        "\"gone_mid_stream\":%ld,\"bytes_in\":%lld,\"bytes_out\":%lld}", journal.requests[WHOLE], journal.requests[BURST], journal.requests[PACED],
        journal.requests[TTFT], journal.models, journal.refused, journal.accepted, journal.open, journal.gone_mid_stream, journal.bytes_in, journal.bytes_out);
}

static void join(struct line *l, struct conn *c) {
    c->next = NULL;
    if (l->last) l->last->next = c; else l->first = c;
    l->last = c;
}

static struct conn *leave(struct line *l) {
    struct conn *c = l->first;
    l->first = c->next;
    if (!l->first) l->last = NULL;
    return c;
}

static void bury(struct conn *c) { c->next = bin; bin = c; }

/* A connection in a waiting line is only marked here; the line buries it when its turn comes. */
static void hang_up(struct conn *c) {
    if (c->dead) return;
    c->dead = 1;
    close(c->fd);
    journal.open--;
    if (c->streaming) journal.gone_mid_stream++;
    else bury(c);
}

static void empty_bin(void) {
    while (bin) {
        struct conn *c = bin;
        bin = c->next;
        free(c->in);
        free(c->out.at);
        free(c);
    }
}

static void watch(struct conn *c, int polls_out) {
    if (c->polls_out == polls_out) return;
    c->polls_out = polls_out;
    struct epoll_event e = {.events = EPOLLIN | (polls_out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void write_out(struct conn *c, const char *at, size_t len) {
    journal.bytes_out += (long long)len;
    if (!c->out.len) {
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) { hang_up(c); return; }
        if (n > 0) { at += n; len -= (size_t)n; }
    }
    if (!len) return;
    add(&c->out, at, len);
    watch(c, 1);
}

static void flush_out(struct conn *c) {
    ssize_t n = send(c->fd, c->out.at + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);
    if (n < 0) { if (errno != EAGAIN) hang_up(c); return; }
    c->out_at += (size_t)n;
    if (c->out_at < c->out.len) return;
    c->out.len = c->out_at = 0;
    watch(c, 0);
    if (c->close_after && !c->streaming) hang_up(c);
}

static const char *find(const char *body, size_t len, const char *needle) {
    size_t n = strlen(needle), edge = len < 512 ? len : 512;
    const char *p = memmem(body, edge, needle, n); /* names stand at an end of the body; spare a walk through 100 KB */
    if (!p) p = memmem(body + len - edge, edge, needle, n);
    return p ? p : memmem(body, len, needle, n);
}

static int wants_stream(int format, const char *body, size_t len) {
    if (format == OLLAMA) return !find(body, len, "\"stream\":false") && !find(body, len, "\"stream\": false");
    return find(body, len, "\"stream\":true") || find(body, len, "\"stream\": true");
}

static enum behaviour chosen(int format, const char *body, size_t len) {
    const char *p = find(body, len, "mock-");
    if (!p || p + 6 > body + len || p[5] == 'w' || !wants_stream(format, body, len)) return WHOLE;
    return p[5] == 'b' ? BURST : p[5] == 'p' ? PACED : p[5] == 't' ? TTFT : WHOLE;
}

static void take_step(struct conn *c) {
    const struct bytes *b = &c->stream->steps[c->step++];
    write_out(c, b->at, b->len);
}

static void answer_post(struct conn *c, int format, const char *body, size_t len) {
    enum behaviour b = chosen(format, body, len);
    journal.requests[b]++;
    if (b == WHOLE) { write_out(c, whole_reply[format].at, whole_reply[format].len); return; }
    c->stream = find(body, len, "\"include_usage\"") ? &metered_stream[format] : &plain_stream[format];
    if (b == BURST) { write_out(c, c->stream->burst.at, c->stream->burst.len); return; }
    c->streaming = 1;
    c->step = 0;
    c->due_ns = now_ns() + (b == TTFT ? first_ns : 0);
    if (b == PACED) { take_step(c); c->due_ns += pace_ns; }
    join(b == PACED ? &paced_line : &delayed_line, c);
}

static void answer_stats(struct conn *c) {
    char body[512];
    journal_json(body, sizeof body);
    struct bytes b = json_reply(body);
    write_out(c, b.at, b.len);
    free(b.at);
}

static int asks_for(const char *target, const char *path) {
    size_t n = strlen(path);
    return !strncmp(target, path, n) && (target[n] == ' ' || target[n] == '?');
}

static void answer(struct conn *c, const char *body, size_t len) {
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    const char *path = memchr(c->in, ' ', c->head_len);
    if (!path) path = " ";
    path++;
    int format = 0;
    while (format < FORMATS && !asks_for(path, spoken[format].path)) format++;
    if (format < FORMATS) answer_post(c, format, body, len);
    else if (!strncmp(path, "/v1/models", 10)) { journal.models++; write_out(c, models_reply.at, models_reply.len); }
    else if (!strncmp(path, "/__stats", 8)) answer_stats(c);
    else { journal.refused++; write_out(c, missing, sizeof missing - 1); }
}

/* The raw length of a complete chunked body, 0 while incomplete, -1 when malformed. */
static ssize_t chunked_len(const char *at, size_t len) {
    size_t from = 0;
    for (;;) {
        const char *eol = memmem(at + from, len - from, "\r\n", 2);
        char *end;
        if (!eol) return 0;
        size_t size = strtoul(at + from, &end, 16), data = (size_t)(eol - at) + 2;
        if (end == at + from || size > BODY_LIMIT) return -1;
        if (data + size + 2 > len) return 0;
        if (!size) return (ssize_t)(data + 2);
        from = data + size + 2;
    }
}

static int read_head(struct conn *c) {
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) return 0;
    c->head_len = (size_t)(end - c->in) + 4;
    char kept = end[2];
    end[2] = 0;
    const char *v = header_value(c->in, "\r\ncontent-length:");
    c->body_len = v ? strtoul(v, NULL, 10) : 0;
    v = header_value(c->in, "\r\ntransfer-encoding:");
    c->chunked = v && !strncasecmp(v, "chunked", 7);
    v = header_value(c->in, "\r\nconnection:");
    const char *eol = strchr(c->in, '\r');
    int old = eol && eol - c->in > 8 && !strncmp(eol - 8, "HTTP/1.0", 8);
    c->close_after = v ? !strncasecmp(v, "close", 5) : old;
    if (header_value(c->in, "\r\nexpect:")) write_out(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    end[2] = kept;
    return 1;
}

/* Answers what is complete. 0 when more bytes are needed or the connection is gone. */
static int serve(struct conn *c) {
    if (!c->head_len && !read_head(c)) return 0;
    size_t rest = c->in_len - c->head_len, used = c->body_len;
    if (c->chunked) {
        ssize_t n = chunked_len(c->in + c->head_len, rest);
        if (n < 0) { journal.refused++; hang_up(c); }
        if (n <= 0) return 0;
        used = (size_t)n; /* names are looked for in the raw bytes; that is enough to choose */
    } else if (rest < used) return 0;
    answer(c, c->in + c->head_len, used);
    if (c->dead) return 0;
    used += c->head_len;
    memmove(c->in, c->in + used, c->in_len - used);
    c->in_len -= used;
    c->head_len = 0;
    if (c->close_after && !c->streaming && !c->out.len) { hang_up(c); return 0; }
    return c->in_len > 0 && !c->streaming;
}

static void read_in(struct conn *c) {
    size_t want = c->head_len ? c->head_len + c->body_len + 1 : 0;
    if (c->in_len + 8192 > c->in_cap || want > c->in_cap) {
        c->in_cap = want > c->in_cap + 16384 ? want : c->in_cap + 16384;
        if (c->in_cap > BODY_LIMIT) { journal.refused++; hang_up(c); return; }
        c->in = must(realloc(c->in, c->in_cap));
    }
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { hang_up(c); return; }
    journal.bytes_in += n;
    c->in_len += (size_t)n;
    while (!c->streaming && serve(c)) {}
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        send_at_once(fd);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
        journal.accepted++;
        journal.open++;
    }
}

static void move_on(struct line *l, int64_t now) {
    while (l->first && l->first->due_ns <= now) {
        struct conn *c = leave(l);
        if (!c->dead) take_step(c);
        if (c->dead) { c->streaming = 0; bury(c); continue; }
        c->due_ns += pace_ns;
        if (c->step < WORD_COUNT) { join(&paced_line, c); continue; }
        c->streaming = 0;
        if (c->close_after && !c->out.len) hang_up(c);
        else while (c->in_len && !c->streaming && serve(c)) {}
    }
}

static void set_timer(int timer, int64_t end_ns) {
    static int64_t set_for;
    int64_t due = end_ns;
    if (paced_line.first && paced_line.first->due_ns < due) due = paced_line.first->due_ns;
    if (delayed_line.first && delayed_line.first->due_ns < due) due = delayed_line.first->due_ns;
    if (due == set_for) return;
    set_for = due;
    struct itimerspec t = {.it_value = {due / 1000000000, due % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, FD_LIMIT)) die("listen");
    return fd;
}

static void run(int listener, int timer, int64_t end_ns) {
    struct epoll_event events[256];
    char report[512];
    while (!stop_asked && now_ns() < end_ns) {
        set_timer(timer, end_ns);
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) { accept_all(listener); continue; }
            if ((void *)c == (void *)&poller) { uint64_t ticks; if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) die("timer"); continue; }
            if (!c->dead && events[i].events & EPOLLOUT) flush_out(c);
            if (!c->dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(c);
        }
        int64_t now = now_ns();
        move_on(&delayed_line, now);
        move_on(&paced_line, now);
        empty_bin();
        if (dump_asked) { dump_asked = 0; journal_json(report, sizeof report); fprintf(stderr, "%s\n", report); }
    }
    journal_json(report, sizeof report);
    fprintf(stderr, "%s\n", report);
}

int main(int count, char **given) {
    if (count < 2) { fprintf(stderr, "usage: mock PORT [PACE_US=2000] [FIRST_MS=25] [LIFETIME_S=3600]\n"); return 2; }
    if (count > 2) pace_ns = atol(given[2]) * 1000;
    if (count > 3) first_ns = atol(given[3]) * 1000000;
    int64_t end_ns = now_ns() + (count > 4 ? atol(given[4]) : 3600) * 1000000000;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
    build_replies();
    int listener = listen_on(atoi(given[1])), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL}, ticking = {.events = EPOLLIN, .data.ptr = &poller};
    if (timer < 0 || poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening) || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &ticking)) die("epoll");
    run(listener, timer, end_ns);
    return 0;
}
