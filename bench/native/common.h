/* What the mock upstream and the load client share: the clock, sockets on loopback, and the content words.

   Every reply of the mock carries WORD_COUNT content words "uiu00".."uiu49", so a client can tell, whatever the
   format or the framing, when the first content arrived and whether all of it did, in its order. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORD_NEEDLE "uiu" /* letters that no identifier of ours holds (Crockford base32), so that none looks like a word */
#define WORD_NEEDLE_LEN 3
#define WORD_LEN 5
#define WORD_COUNT 50

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(2);
}

static inline void *must(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_port = htons((uint16_t)port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static inline void send_at_once(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* The value of header NAME (given as "\r\nname:") in a NUL-terminated head, or NULL. */
static inline const char *header_value(const char *head, const char *name) {
    const char *p = strcasestr(head, name);
    if (!p) return NULL;
    p += strlen(name);
    while (*p == ' ' || *p == '\t') p++;
    return p;
}

#endif
