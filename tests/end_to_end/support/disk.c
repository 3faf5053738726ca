/* A disk that fails as a test says, between a program and the file that DISK_FILE names; for LD_PRELOAD.
 *
 * The file DISK_CONTROL says what happens, and is read before each operation:
 *   sync   fsync and fdatasync fail with EIO. What they should have written is lost with the power: Linux takes it for
 *          written from then on.
 *   space  writes fail with ENOSPC
 *   tear   the next long write ends in its middle, and the process is killed
 *   hang   fsync and fdatasync wait until it says something else
 *   power  at the next fsync or fdatasync everything is lost that was not on disk, and the process is killed
 * and anything else: nothing. It is written as a whole, by a rename.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 65536

/* Pages that are not on disk, with what the disk has in their place. */
static struct page {
    char *old;
    int is_lost;
} pages[PAGES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static ssize_t write_at(int fd, const void *bytes, size_t length, off64_t at)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) = next("pwrite64");
    return real(fd, bytes, length, at);
}

static int is_ours(int fd)
{
    struct stat file, ours;
    const char *path = getenv("DISK_FILE");
    return path && stat(path, &ours) == 0 && fstat(fd, &file) == 0 && file.st_ino == ours.st_ino
        && file.st_dev == ours.st_dev;
}

static int says(const char *word)
{
    char text[16] = {0};
    int fd = open(getenv("DISK_CONTROL"), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && strcmp(text, word) == 0;
}

static void end(void)
{
    kill(getpid(), SIGKILL);
    pause();
}

/* Keeps what the disk has where this is written. */
static void keep(int fd, size_t length, off64_t at)
{
    for (off64_t page = at / PAGE; page <= (at + (off64_t)length - 1) / PAGE && page < PAGES; page++) {
        if (!pages[page].old) {
            pages[page].old = calloc(1, PAGE);
            if (pread(fd, pages[page].old, PAGE, page * PAGE) < 0)
                abort();
        }
        pages[page].is_lost = 0;
    }
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at)
{
    if (!is_ours(fd))
        return write_at(fd, bytes, length, at);
    if (says("space")) {
        errno = ENOSPC;
        return -1;
    }
    if (length >= PAGE && says("tear")) {
        write_at(fd, bytes, length / 2, at);
        end();
    }
    pthread_mutex_lock(&lock);
    keep(fd, length, at);
    pthread_mutex_unlock(&lock);
    return write_at(fd, bytes, length, at);
}

static int synced(const char *name, int fd)
{
    int (*real)(int) = next(name);
    if (!is_ours(fd))
        return real(fd);
    while (says("hang")) {
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
    }
    int fails = says("sync"), loses = says("power");
    pthread_mutex_lock(&lock);
    for (off64_t page = 0; page < PAGES; page++) {
        if (!pages[page].old)
            continue;
        if (loses)
            write_at(fd, pages[page].old, PAGE, page * PAGE);
        else if (fails)
            pages[page].is_lost = 1;
        else if (!pages[page].is_lost) {
            free(pages[page].old);
            pages[page].old = NULL;
        }
    }
    if (loses)
        end();
    pthread_mutex_unlock(&lock);
    if (fails) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd)
{
    return synced("fsync", fd);
}

int fdatasync(int fd)
{
    return synced("fdatasync", fd);
}

/* musl and some versions of glibc have one name for both */
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
    return pwrite64(fd, bytes, length, at);
}
