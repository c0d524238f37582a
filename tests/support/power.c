/* Interposed below the SQLite that is loaded: passes every call on, and writes down what reached which file in which order.

   One record is a header and its data: kind, number of the file (by path), offset, length. Files outside FREEHOLD_POWER_DIR
   are not looked at, nor is shared memory (-shm), which a power cut takes as a whole. One lock makes the order exact. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 'w', CUT = 't', SYNC = 's', MADE = 'c', GONE = 'u', MARK = 'm' };
enum { MOST_FDS = 4096, MOST_FILES = 256, FOLDER = 255 };
struct record { uint8_t kind, file; uint16_t name; uint32_t length; uint64_t offset; } __attribute__((packed));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char folder[4096];
static size_t folder_length;
static char *names[MOST_FILES];
static uint8_t files[MOST_FDS]; /* number + 1; 0: not ours */

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_open)(const char *, int, ...), (*real_fsync)(int), (*real_fdatasync)(int), (*real_close)(int);
static int (*real_ftruncate)(int, off64_t), (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
  real_write = dlsym(RTLD_NEXT, "write"); real_pwrite = dlsym(RTLD_NEXT, "pwrite64"); real_open = dlsym(RTLD_NEXT, "open64");
  real_fsync = dlsym(RTLD_NEXT, "fsync"); real_fdatasync = dlsym(RTLD_NEXT, "fdatasync"); real_close = dlsym(RTLD_NEXT, "close");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64"); real_unlink = dlsym(RTLD_NEXT, "unlink");
  const char *where = getenv("FREEHOLD_POWER_DIR"), *log = getenv("FREEHOLD_POWER_LOG");
  if (!where || !log) return;
  folder_length = (size_t)snprintf(folder, sizeof folder, "%s", where);
  log_fd = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(uint8_t kind, uint8_t file, uint64_t offset, const void *data, uint32_t length) {
  struct record head = {kind, file, 0, length, offset};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
  if (writev(log_fd, parts, length ? 2 : 1) != (ssize_t)(sizeof head + length)) abort();
}

static int is_ours(const char *path) {
  size_t length = strlen(path);
  return log_fd >= 0 && folder_length && !strncmp(path, folder, folder_length) && !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static int number(const char *path) { /* the lock is held */
  if (!strcmp(path, folder)) return FOLDER;
  for (int at = 0; at < FOLDER; at++) {
    if (!names[at]) names[at] = strdup(path);
    if (!strcmp(names[at], path)) return at;
  }
  abort();
}

static int opened(const char *path, int flags, mode_t mode) {
  if (!is_ours(path)) return real_open(path, flags, mode);
  pthread_mutex_lock(&lock);
  int was_there = !access(path, F_OK), fd = real_open(path, flags, mode);
  if (fd >= 0 && fd < MOST_FDS) {
    int file = number(path);
    files[fd] = (uint8_t)(file + 1);
    if (file == FOLDER) files[fd] = FOLDER;
    if (!was_there) note(MADE, (uint8_t)file, 0, path, (uint32_t)strlen(path));
    else if (file != FOLDER) note('n', (uint8_t)file, 0, path, (uint32_t)strlen(path));
    if (flags & O_TRUNC) note(CUT, (uint8_t)file, 0, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

#define OPEN(name)                                                              \
  int name(const char *path, int flags, ...) {                                  \
    mode_t mode = 0;                                                            \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    return opened(path, flags, mode);                                           \
  }
OPEN(open) OPEN(open64)

static uint8_t file_of(int fd) { return fd >= 0 && fd < MOST_FDS ? files[fd] : 0; }

static ssize_t placed(int fd, const void *data, size_t length, off64_t offset) {
  uint8_t file = file_of(fd);
  if (!file) return real_pwrite(fd, data, length, offset);
  pthread_mutex_lock(&lock);
  ssize_t wrote = real_pwrite(fd, data, length, offset);
  if (wrote > 0) note(WRITE, file - 1, (uint64_t)offset, data, (uint32_t)wrote);
  pthread_mutex_unlock(&lock);
  return wrote;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return placed(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return placed(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
  uint8_t file = file_of(fd);
  if (fd == 1 && log_fd >= 0) { /* what the program says is an acknowledgement: it stands in the same order */
    pthread_mutex_lock(&lock);
    note(MARK, 0, 0, data, (uint32_t)length);
    pthread_mutex_unlock(&lock);
    return (ssize_t)length;
  }
  if (!file) return real_write(fd, data, length);
  pthread_mutex_lock(&lock);
  off64_t offset = lseek64(fd, 0, SEEK_CUR);
  ssize_t wrote = real_write(fd, data, length);
  if (wrote > 0) note(WRITE, file - 1, (uint64_t)offset, data, (uint32_t)wrote);
  pthread_mutex_unlock(&lock);
  return wrote;
}

static int synced(int fd, int (*real)(int)) {
  uint8_t file = file_of(fd);
  if (!file) return real(fd);
  pthread_mutex_lock(&lock);
  note(SYNC, file == FOLDER ? FOLDER : file - 1, 0, NULL, 0); /* the disk under this is simulated: it need not spin */
  pthread_mutex_unlock(&lock);
  return 0;
}
int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

static int cut(int fd, off64_t length) {
  uint8_t file = file_of(fd);
  pthread_mutex_lock(&lock);
  int done = real_ftruncate(fd, length);
  if (file && !done) note(CUT, file - 1, (uint64_t)length, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

int unlink(const char *path) {
  pthread_mutex_lock(&lock);
  int done = real_unlink(path);
  if (!done && is_ours(path)) note(GONE, (uint8_t)number(path), 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}

int close(int fd) {
  if (fd >= 0 && fd < MOST_FDS) files[fd] = 0;
  return real_close(fd);
}
