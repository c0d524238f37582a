/* A load client, much faster than any gateway: one thread, epoll, HTTP/1.1 keep-alive, loopback only, always bounded.

   usage: load --port P --body FILE [--format openai_chat] [--path its own] [--header 'Name: value']... [--stream]
               [--connections 64] [--seconds 3] [--warmup 0.5] [--rate R] [--requests N] [--timeout 10] [--watch PID]

   Without --rate a closed loop: each connection asks again as soon as it was answered. With --rate an open loop: a fixed
   schedule, and latency counts from the moment a request was due, so a slow server cannot hide its queue. A body holding
   "NONCE-aaaaaaaaaaaaaaa" gets another word each time, in this run and in later ones. A reply counts only when it is
   right: status 200, complete framing, and what checks.h asks of the format. --watch adds the CPU time of that process
   and its descendants over the measured window. One JSON object on stdout; the exit status is 0 if any reply was right. */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>

#include "checks.h"
#include "samples.h"

#define HEAD_LIMIT 16384
#define CONN_LIMIT 1024
#define ERROR_LIMIT 2000
#define NONCE "NONCE-"
#define NONCE_DIGITS 15 /* written as letters: a number so long would look like a card or an id to those who search for them */

enum framing { HEAD, BY_LENGTH, BY_CHUNKS, BY_CLOSE };

struct conn {
    int fd, busy, polls_out, sent_before;
    size_t sent;                            /* of the request */
    enum framing framing;
    char head[HEAD_LIMIT]; size_t head_len;
    int status, close_after;
    size_t left; int line_len; char line[32]; int last_chunk; /* of the body; line holds a chunk's size line */
    struct content content;
    int64_t asked_ns, first_ns;
    char *request;                          /* its own copy when the body holds a nonce */
};

static struct { int port, connections, stream; double seconds, warmup, rate, timeout; long requests, watch; const char *path; const struct format *format; } opt =
    {0, 64, 0, 3, 0.5, 0, 10, 5000000, 0, NULL, &formats[0]};
static char headers[4096];
static char *request; static size_t request_len, nonce_at;
static int64_t nonce; /* starts at the clock in us and grows slower than it: no number comes twice */
static long asked, unanswered;
static struct conn *conns[CONN_LIMIT]; static int conn_count;
static struct conn *idle[CONN_LIMIT]; static int idle_count;
static int64_t *due_line; static long due_head, due_tail; /* intended times of what found no idle connection */
static int poller, done;
static int64_t start_ns, window_ns, end_ns;

static struct {
    long right, wrong, broken, timed_out, reconnects, status_other; long long bytes_in;
    struct samples latency, first; char first_error[400];
} seen;

static int in_window(int64_t t) { return t >= window_ns && t < end_ns; }

static void note_error(struct conn *c, const char *what) {
    if (seen.first_error[0]) return;
    char text[160];
    size_t n = 0;
    const char *end = c->content.tail_len ? c->content.tail + c->content.tail_len : c->head + c->head_len;
    size_t shown = c->content.tail_len ? c->content.tail_len : c->head_len;
    for (const char *p = end - (shown < sizeof text ? shown : sizeof text - 1); p < end; p++)
        text[n++] = *p < 32 || *p == '"' || *p == '\\' || *p > 126 ? ' ' : *p;
    text[n] = 0;
    snprintf(seen.first_error, sizeof seen.first_error, "%s: status %d, %d words, saw: %s", what, c->status, c->content.words, text);
}

static void watch(struct conn *c, int polls_out, int how) {
    struct epoll_event e = {.events = EPOLLIN | (polls_out ? EPOLLOUT : 0), .data.ptr = c};
    c->polls_out = polls_out;
    if (epoll_ctl(poller, how, c->fd, &e)) die("epoll_ctl");
}

static void dial(struct conn *c) {
    struct sockaddr_in a = loopback(opt.port);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a)) die("connect"); /* loopback: at once or never */
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    send_at_once(c->fd);
    c->sent_before = 0;
    watch(c, 0, EPOLL_CTL_ADD);
}

static void dial_again(struct conn *c) {
    close(c->fd);
    seen.reconnects++;
    dial(c);
}

static struct conn *new_conn(void) {
    struct conn *c = must(calloc(1, sizeof *c));
    if (nonce_at) { c->request = must(malloc(request_len)); memcpy(c->request, request, request_len); }
    conns[conn_count++] = c;
    dial(c);
    return c;
}

static void push_out(struct conn *c) {
    const char *from = c->request ? c->request : request;
    ssize_t n = send(c->fd, from + c->sent, request_len - c->sent, MSG_NOSIGNAL);
    if (n > 0) c->sent += (size_t)n;
    int more = c->sent < request_len; /* a broken pipe is seen by the next read */
    if (more != c->polls_out && (n >= 0 || errno == EAGAIN)) watch(c, more, EPOLL_CTL_MOD);
}

static void start_reply(struct conn *c) {
    c->framing = HEAD;
    c->head_len = c->left = 0;
    c->status = c->line_len = c->last_chunk = c->close_after = 0;
    restart(&c->content);
    c->first_ns = 0;
}

static void ask(struct conn *c, int64_t due_ns) {
    c->busy = 1;
    c->asked_ns = due_ns;
    c->sent = 0;
    start_reply(c);
    if (c->request) {
        char n[32];
        snprintf(n, sizeof n, "%0*lld", NONCE_DIGITS, (long long)(nonce++ % 1000000000000000));
        for (int i = 0; i < NONCE_DIGITS; i++) n[i] += 'a' - '0';
        memcpy(c->request + nonce_at + sizeof NONCE - 1, n, NONCE_DIGITS);
    }
    push_out(c);
}

static void rest(struct conn *c) {
    c->busy = 0;
    int64_t now = now_ns();
    if (now >= end_ns || asked >= opt.requests) { idle[idle_count++] = c; return; }
    if (!opt.rate) { asked++; ask(c, now); return; }
    if (due_head < due_tail) { ask(c, due_line[due_head++]); return; }
    idle[idle_count++] = c;
}

static void finish(struct conn *c, int complete) {
    int64_t now = now_ns();
    const char *lack = !complete ? "broken connection" : c->status != 200 ? "refused" : lacking(&c->content, opt.format, opt.stream);
    int counted = opt.rate ? in_window(c->asked_ns) : in_window(now);
    if (lack) {
        note_error(c, lack);
        if (c->status && c->status != 200) seen.status_other++;
        if (complete) seen.wrong++; else seen.broken++;
        if (seen.wrong + seen.broken + seen.timed_out > ERROR_LIMIT) done = 1;
    } else if (counted) {
        seen.right++;
        note(&seen.latency, now - c->asked_ns);
        if (opt.stream) note(&seen.first, c->first_ns - c->asked_ns);
    }
    if (!complete || c->close_after) dial_again(c);
    c->sent_before = 1;
    rest(c);
}

static void take_content(struct conn *c, const char *at, size_t len) {
    take_piece(&c->content, opt.format, opt.stream, at, len);
    if (c->content.words && !c->first_ns) c->first_ns = now_ns();
}

/* 1 once the last chunk's final line was read. */
static int take_chunks(struct conn *c, const char *at, size_t len) {
    for (const char *end = at + len; at < end;) {
        if (c->left > 2) { /* data, then its CRLF */
            size_t n = c->left - 2 < (size_t)(end - at) ? c->left - 2 : (size_t)(end - at);
            take_content(c, at, n);
            at += n;
            c->left -= n;
        } else if (c->left) { at++; c->left--; }
        else if (*at != '\n') { if (*at != '\r' && c->line_len < 31) c->line[c->line_len++] = *at; at++; }
        else {
            at++;
            c->line[c->line_len] = 0;
            if (c->last_chunk && !c->line_len) return 1;
            size_t size = c->last_chunk ? 0 : strtoul(c->line, NULL, 16);
            if (size) c->left = size + 2; else c->last_chunk = 1;
            c->line_len = 0;
        }
    }
    return 0;
}

static int take_body(struct conn *c, const char *at, size_t len) {
    if (c->framing == BY_CHUNKS) return take_chunks(c, at, len);
    if (c->framing == BY_LENGTH && len > c->left) len = c->left;
    take_content(c, at, len);
    if (c->framing == BY_LENGTH) c->left -= len;
    return c->framing == BY_LENGTH && !c->left;
}

/* Length of the head once complete, 0 before, -1 when it is none. */
static ssize_t take_head(struct conn *c, const char *at, size_t len) {
    size_t before = c->head_len, n = len < HEAD_LIMIT - 1 - before ? len : HEAD_LIMIT - 1 - before;
    memcpy(c->head + before, at, n);
    c->head_len += n;
    char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (!end) return c->head_len == HEAD_LIMIT - 1 ? -1 : 0;
    end[2] = 0;
    c->head_len = (size_t)(end - c->head) + 2;
    if (sscanf(c->head, "HTTP/1.%*d %d", &c->status) != 1) return -1;
    const char *v = header_value(c->head, "\r\nconnection:"), *length = header_value(c->head, "\r\ncontent-length:");
    c->close_after = v && !strncasecmp(v, "close", 5);
    v = header_value(c->head, "\r\ntransfer-encoding:");
    c->framing = v && !strncasecmp(v, "chunked", 7) ? BY_CHUNKS : length ? BY_LENGTH : BY_CLOSE;
    if (c->framing == BY_LENGTH) c->left = strtoul(length, NULL, 10);
    if (c->framing == BY_CLOSE) c->close_after = 1;
    const char *type = opt.stream ? opt.format->stream_type : "application/json";
    v = header_value(c->head, "\r\ncontent-type:");
    c->content.type_fits = v && !strncasecmp(v, type, strlen(type));
    return (ssize_t)(c->head_len + 2 - before);
}

static void read_in(struct conn *c) {
    static char buffer[262144];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (!c->busy) { if (n <= 0) dial_again(c); return; }
    if (n <= 0) {
        int stale = c->sent_before && c->framing == HEAD && !c->head_len; /* it closed an idle connection as we asked */
        if (stale) { dial_again(c); c->sent = 0; push_out(c); return; }
        finish(c, n == 0 && c->framing == BY_CLOSE);
        return;
    }
    seen.bytes_in += n;
    ssize_t used = 0;
    if (c->framing == HEAD) {
        used = take_head(c, buffer, (size_t)n);
        if (used < 0) { finish(c, 0); return; }
        if (!used) return;
    }
    if ((used < n && take_body(c, buffer + used, (size_t)(n - used))) || (c->framing == BY_LENGTH && !c->left)) finish(c, 1);
}

static void start_due(int64_t now, double gap_ns, long *scheduled) {
    for (;;) {
        int64_t due = start_ns + (int64_t)((double)*scheduled * gap_ns);
        if (due > now || due >= end_ns || asked >= opt.requests) return;
        ++*scheduled;
        asked++;
        if (!idle_count && conn_count < opt.connections) idle[idle_count++] = new_conn();
        if (idle_count) ask(idle[--idle_count], due);
        else due_line[due_tail++] = due;
    }
}

static void drop_overdue(int64_t now) {
    for (int i = 0; i < conn_count; i++) {
        struct conn *c = conns[i];
        if (!c->busy || now - c->asked_ns < (int64_t)(opt.timeout * 1e9)) continue;
        note_error(c, "timed out");
        seen.timed_out++;
        if (seen.wrong + seen.broken + seen.timed_out > ERROR_LIMIT) done = 1;
        dial_again(c);
        rest(c);
    }
}

static void arm(int timer, int64_t at) {
    struct itimerspec t = {.it_value = {at / 1000000000, at % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static int settled(int64_t now) {
    if (now < end_ns && asked < opt.requests) return 0;
    if (!opt.rate && now >= end_ns) return 1; /* a closed loop counts what was answered in the window; the rest is cut */
    return idle_count == conn_count && due_head == due_tail;
}

static void run(double *cpu_s) {
    struct epoll_event events[256];
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event ticking = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, timer, &ticking)) die("timer");
    double gap_ns = opt.rate ? 1e9 / opt.rate : 0, at_window = -1, at_end = -1;
    long scheduled = 0;
    int64_t now = now_ns(), check_ns = now + 500000000, last_ns = end_ns + (int64_t)(opt.timeout * 1e9);
    if (!opt.rate) for (int i = 0; i < opt.connections && asked < opt.requests; i++) { asked++; ask(new_conn(), now_ns()); }
    for (; !done && now < last_ns && !settled(now); now = now_ns()) {
        if (at_window < 0 && now >= window_ns) at_window = tree_cpu_s(opt.watch);
        if (at_end < 0 && now >= end_ns) at_end = tree_cpu_s(opt.watch);
        if (opt.rate) start_due(now, gap_ns, &scheduled);
        if (now >= check_ns) { drop_overdue(now); check_ns = now + 500000000; }
        int64_t wake = check_ns, due = start_ns + (int64_t)((double)scheduled * gap_ns);
        if (opt.rate && due < end_ns && due < wake) wake = due;
        if (now < end_ns && end_ns < wake) wake = end_ns;
        if (now < window_ns && window_ns < wake) wake = window_ns;
        arm(timer, wake);
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) { uint64_t ticks; if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) die("timer"); continue; }
            if (events[i].events & EPOLLOUT && c->sent < request_len) push_out(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_in(c);
        }
    }
    if (at_end < 0) { at_end = tree_cpu_s(opt.watch); if (now < end_ns) end_ns = now; } /* it stopped early */
    *cpu_s = opt.watch && at_window >= 0 ? at_end - at_window : -1;
    for (int i = 0; i < conn_count; i++) unanswered += opt.rate && conns[i]->busy && in_window(conns[i]->asked_ns);
    for (long i = due_head; i < due_tail; i++) unanswered += in_window(due_line[i]);
}

static void build_request(const char *file) {
    FILE *f = fopen(file, "rb");
    if (!f) die(file);
    fseek(f, 0, SEEK_END);
    size_t len = (size_t)ftell(f);
    rewind(f);
    request = must(malloc(len + sizeof headers + 512));
    int head = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                       opt.path, opt.port, headers, len);
    if (fread(request + head, 1, len, f) != len) die(file);
    fclose(f);
    request_len = (size_t)head + len;
    char *p = memmem(request, request_len, NONCE, sizeof NONCE - 1);
    if (p && (size_t)(p - request) + sizeof NONCE - 1 + NONCE_DIGITS <= request_len) nonce_at = (size_t)(p - request);
}

static const char *read_options(int count, char **given) {
    const char *body = NULL;
    for (int i = 1; i < count; i++) {
        const char *k = given[i];
        if (!strcmp(k, "--stream")) { opt.stream = 1; continue; }
        const char *v = i + 1 < count ? given[++i] : "";
        if (!strcmp(k, "--port")) opt.port = atoi(v);
        else if (!strcmp(k, "--format")) opt.format = format_named(v);
        else if (!strcmp(k, "--path")) opt.path = v;
        else if (!strcmp(k, "--body")) body = v;
        else if (!strcmp(k, "--header")) snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "%s\r\n", v);
        else if (!strcmp(k, "--connections")) opt.connections = atoi(v);
        else if (!strcmp(k, "--seconds")) opt.seconds = atof(v);
        else if (!strcmp(k, "--warmup")) opt.warmup = atof(v);
        else if (!strcmp(k, "--rate")) opt.rate = atof(v);
        else if (!strcmp(k, "--requests")) opt.requests = atol(v);
        else if (!strcmp(k, "--timeout")) opt.timeout = atof(v);
        else if (!strcmp(k, "--watch")) opt.watch = atol(v);
        else { fprintf(stderr, "unknown option %s\n", k); exit(2); }
    }
    if (!opt.format) { fprintf(stderr, "unknown format\n"); exit(2); }
    if (!opt.path) opt.path = opt.format->path;
    if (!opt.port || !body || opt.connections < 1 || opt.connections > CONN_LIMIT || opt.seconds <= 0 || opt.seconds > 600 || opt.warmup < 0 || opt.rate > 200000) {
        fprintf(stderr, "--port and --body are needed; --connections 1..%d, --seconds up to 600, --rate up to 200000\n", CONN_LIMIT);
        exit(2);
    }
    return body;
}

int main(int count, char **given) {
    const char *body = read_options(count, given);
    double cpu_s = -1;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    build_request(body);
    due_line = must(malloc(sizeof *due_line * (size_t)((opt.seconds + opt.warmup) * opt.rate + 16)));
    poller = epoll_create1(EPOLL_CLOEXEC);
    start_ns = now_ns();
    nonce = start_ns / 1000;
    window_ns = start_ns + (int64_t)(opt.warmup * 1e9);
    end_ns = window_ns + (int64_t)(opt.seconds * 1e9);
    run(&cpu_s);
    double seconds = (double)(end_ns - window_ns) / 1e9;
    if (seconds <= 0) seconds = 1e-9;
    printf("{\"seconds\":%.4f,\"right\":%ld,\"per_s\":%.2f,\"wrong\":%ld,\"broken\":%ld,\"timed_out\":%ld,\"status_other\":%ld,\"unanswered\":%ld,"
           "\"reconnects\":%ld,\"bytes_in\":%lld,", seconds, seen.right, (double)seen.right / seconds, seen.wrong, seen.broken, seen.timed_out,
           seen.status_other, unanswered, seen.reconnects, seen.bytes_in);
    print_samples("latency_ms", &seen.latency);
    if (opt.stream) print_samples("first_ms", &seen.first);
    if (cpu_s >= 0) printf("\"cpu_s\":%.4f,", cpu_s);
    printf("\"first_error\":\"%s\"}\n", seen.first_error);
    return seen.right ? 0 : 1;
}
