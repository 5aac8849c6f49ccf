/*
 * A client in C, linked against one C library or another: what it is told about is what getaddrinfo gives it.
 *
 *     dial NAME PORT HABIT
 *
 * Reads numbers, a line each: one lookup, then that many connections, made and closed one after the other. Answers each
 * with a line: connections made, attempts that failed, addresses it was given. Ends with its input, or after five minutes.
 *
 * Habits: `turn` takes all addresses in turn; `favourite` too, in the order of their numbers and the first one twice;
 * `subset:I:K` takes K of them in turn, from the I-th subset of that size on.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 1024

static int by_number(const void *one, const void *other) {
    const struct sockaddr_in *a = one, *b = other;
    unsigned x = ntohl(a->sin_addr.s_addr), y = ntohl(b->sin_addr.s_addr);
    return (x > y) - (x < y);
}

/* The addresses of a name, at most MOST. */
static int look_up(const char *name, const char *port, struct sockaddr_in *found) {
    struct addrinfo hints, *list = NULL, *one;
    int count = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(name, port, &hints, &list) != 0) return 0;
    for (one = list; one && count < MOST; one = one->ai_next)
        memcpy(&found[count++], one->ai_addr, sizeof *found);
    freeaddrinfo(list);
    return count;
}

static int dial(const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int made = fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof *to) == 0;
    if (fd >= 0) close(fd);
    return made;
}

int main(int argc, char **argv) {
    static struct sockaddr_in found[MOST];
    unsigned subset = 0, size = 0;
    char line[32];
    if (argc != 4) return 2;
    int favourite = strcmp(argv[3], "favourite") == 0;
    int is_subset = sscanf(argv[3], "subset:%u:%u", &subset, &size) == 2 && size > 0;
    if (!favourite && !is_subset && strcmp(argv[3], "turn") != 0) return 2;
    alarm(300);
    /* One turn over everything, whatever the lookups: where the last one ended the next one begins. */
    unsigned turn = 0;
    while (fgets(line, sizeof line, stdin)) {
        int made = 0, failed = 0, wanted = atoi(line);
        int count = look_up(argv[1], argv[2], found);
        if (favourite || is_subset) qsort(found, count, sizeof *found, by_number);
        for (int i = 0; i < wanted; i++, turn++) {
            unsigned place = 0;
            if (count == 0) { failed++; continue; }
            if (favourite) { place = turn % (count + 1); place = place ? place - 1 : 0; }
            else if (is_subset) place = (subset * size + turn % size) % count;
            else place = turn % count;
            if (dial(&found[place])) made++; else failed++;
        }
        printf("%d %d %d\n", made, failed, count);
        fflush(stdout);
    }
    return 0;
}
