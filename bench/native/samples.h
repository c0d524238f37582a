/* What the load client measures: latency samples with their percentiles, and the CPU time of a process tree. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <dirent.h>
#include <signal.h>

#include "common.h"

#define SAMPLE_LIMIT 4000000

struct samples { int64_t *at; size_t count, room; };

static inline void note(struct samples *s, int64_t ns) {
    if (s->count == SAMPLE_LIMIT) return;
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->at = must(realloc(s->at, s->room * sizeof *s->at));
    }
    s->at[s->count++] = ns;
}

static inline int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static inline double share_ms(const struct samples *s, double share) {
    size_t i = (size_t)(share * (double)s->count);
    return (double)s->at[i < s->count ? i : s->count - 1] / 1e6;
}

static inline void print_samples(const char *name, struct samples *s) {
    if (!s->count) { printf("\"%s\":null,", name); return; }
    qsort(s->at, s->count, sizeof *s->at, by_size);
    printf("\"%s\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"max\":%.4f},", name, share_ms(s, 0.5), share_ms(s, 0.9), share_ms(s, 0.99), share_ms(s, 1));
}

static double tree_cpu_s(long pid);

static inline double children_cpu_s(long pid) {
    char path[96];
    double total = 0;
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks) return 0;
    for (struct dirent *t; (t = readdir(tasks));) {
        if (t->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%ld/task/%.16s/children", pid, t->d_name);
        FILE *f = fopen(path, "r");
        long child;
        while (f && fscanf(f, "%ld", &child) == 1) total += tree_cpu_s(child);
        if (f) fclose(f);
    }
    closedir(tasks);
    return total;
}

/* User and system time of a process and its living descendants, in seconds; 0 for pid 0 and for what is gone. */
static double tree_cpu_s(long pid) {
    char path[64], text[1024];
    if (!pid) return 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    unsigned long user = 0, kernel = 0;
    char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) return 0;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK) + children_cpu_s(pid);
}

#endif
