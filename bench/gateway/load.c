/* load: a load client for OpenAI-compatible gateways. Linux, epoll, one thread, loopback only.
 *
 *   load -u -p PORT -b @BODY -c 64 -d 3 -w 1    unary: a closed loop over keep-alive connections
 *   load -s -p PORT -b @BODY -c 200 -r 2        streams: every connection runs R streams in a row
 *
 *   -P PATH     default /v1/chat/completions      -H "Name: value"   may be given again
 *   -d SECONDS  timed; -w SECONDS before it, not counted (unary)
 *   -S MS       spread the first sends over so many milliseconds (streams)
 *   -T SECONDS  give up after that               -D TEXT   only lines with TEXT are chunks (streams)
 *
 * No two requests are the same: each run of 16 '#' in the body becomes a number that is used once.
 * Streams: the mock writes "@t<monotonic ns>;" into every chunk, so the age of a chunk is exact: from the mock's
 * write to this client's read. One JSON object on stdout; times in microseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STAMP "################"
#define STAMP_LENGTH (sizeof STAMP - 1)
#define MAX_STAMPS 64
#define MAX_HEADER 16384
#define MAX_LINE 4096 /* the rest of a longer line is not looked at */
#define MAX_FAILURES 100000

enum phase { WAITING, CONNECTING, SENDING, READING, OVER };
enum framing { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_LINES };

struct connection {
    int fd, rounds_left;
    enum phase phase;
    uint64_t starts_at, sent_at;
    char *request;
    size_t sent;
    /* the answer being read */
    char header[MAX_HEADER];
    size_t header_length;
    int in_header, status, chunked, until_eof, closes;
    enum framing framing;
    char size_text[32];
    int size_length, end_left;
    long left;
    char line[MAX_LINE];
    size_t line_length;
    int has_chunk, complete;
};

struct samples {
    uint32_t *tenths; /* of a microsecond */
    size_t count, room;
};

static struct {
    int port, connections, rounds, streaming, spread_ms;
    double seconds, warm_seconds, limit_seconds;
    const char *path, *delta;
    char *body, headers[8192];
} asked = {.connections = 1, .rounds = 1, .seconds = 5, .limit_seconds = 120, .path = "/v1/chat/completions"};

static struct {
    char *text;
    size_t length, stamps[MAX_STAMPS], stamp_count;
} template;

static struct samples latency, age, first_chunk;
static long ok_count, bad_count, bad_status, error_count, cut_count, done_count, chunk_count, answer_count;
static int poller, live;
static uint64_t last_byte_at, serial;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* --- samples ------------------------------------------------------------------------------------------------------ */

static void note(struct samples *all, uint64_t ns) {
    uint64_t tenths = ns / 100;
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 65536;
        all->tenths = realloc(all->tenths, all->room * sizeof *all->tenths);
    }
    all->tenths[all->count++] = tenths > UINT32_MAX ? UINT32_MAX : tenths;
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void print_samples(const char *name, struct samples *all) {
    const struct {
        const char *name;
        double at;
    } points[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"max", 1}};
    qsort(all->tenths, all->count, sizeof *all->tenths, ascending);
    printf(",\"%s\":{", name);
    for (int i = 0; i < 4; i++) {
        if (i)
            printf(",");
        if (all->count)
            printf("\"%s\":%.1f", points[i].name, all->tenths[(size_t)(points[i].at * (all->count - 1) + .5)] / 10.);
        else
            printf("\"%s\":null", points[i].name);
    }
    printf("}");
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void make_template(void) {
    template.length = asprintf(&template.text,
                               "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                               "Accept: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
                               asked.path, asked.port, asked.streaming ? "text/event-stream" : "application/json",
                               asked.headers, strlen(asked.body), asked.body);
    for (char *at = template.text; (at = strstr(at, STAMP)) && template.stamp_count < MAX_STAMPS; at += STAMP_LENGTH)
        template.stamps[template.stamp_count++] = at - template.text;
}

static void stamp(char *request) {
    char digits[STAMP_LENGTH + 1];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)serial++);
    for (size_t i = 0; i < template.stamp_count; i++)
        memcpy(request + template.stamps[i], digits, STAMP_LENGTH);
}

static void wait_for(struct connection *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void dial(struct connection *c) {
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(asked.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connect(c->fd, (void *)&to, sizeof to);
    wait_for(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    c->phase = CONNECTING;
}

static int send_rest(struct connection *c) {
    while (c->sent < template.length) {
        ssize_t n = send(c->fd, c->request + c->sent, template.length - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN)
                wait_for(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return errno == EAGAIN ? 0 : -1;
        }
        c->sent += n;
    }
    c->phase = READING;
    return 0;
}

static int ask(struct connection *c) {
    c->in_header = 1;
    c->header_length = c->line_length = c->sent = 0;
    c->status = c->chunked = c->until_eof = c->closes = c->size_length = c->has_chunk = c->complete = 0;
    c->framing = CHUNK_SIZE;
    c->left = -1;
    c->phase = SENDING;
    stamp(c->request);
    c->sent_at = now_ns();
    return send_rest(c);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void read_line(struct connection *c, uint64_t now) {
    c->line[c->line_length] = 0;
    if (strstr(c->line, "data: [DONE]") || strstr(c->line, "\"message_stop\"") ||
        strstr(c->line, "\"response.completed\""))
        c->complete = 1;
    if (asked.delta && !strstr(c->line, asked.delta))
        return;
    for (char *at = c->line; (at = strstr(at, "@t")); at += 2) {
        uint64_t written = strtoull(at + 2, 0, 10);
        if (!written || written > now)
            continue;
        if (!c->has_chunk)
            note(&first_chunk, now - c->sent_at);
        c->has_chunk = 1;
        note(&age, now - written);
        chunk_count++;
    }
}

static void read_body(struct connection *c, const char *data, size_t length, uint64_t now) {
    if (!asked.streaming)
        return;
    while (length) {
        const char *end = memchr(data, '\n', length);
        size_t part = end ? (size_t)(end - data) : length, room = MAX_LINE - 1 - c->line_length;
        memcpy(c->line + c->line_length, data, part < room ? part : room);
        c->line_length += part < room ? part : room;
        if (!end)
            return;
        read_line(c, now);
        c->line_length = 0;
        data = end + 1;
        length -= part + 1;
    }
}

/* The bytes of the header among `length`, or 0 while it is not complete, or -1 when it is too long. */
static long read_header(struct connection *c, const char *data, size_t length) {
    size_t before = c->header_length, room = MAX_HEADER - 1 - before, part = length < room ? length : room;
    memcpy(c->header + before, data, part);
    c->header_length += part;
    c->header[c->header_length] = 0;
    char *end = strstr(c->header, "\r\n\r\n");
    if (!end)
        return c->header_length == MAX_HEADER - 1 ? -1 : 0;
    end[2] = 0;
    c->in_header = 0;
    c->status = atoi(c->header + strlen("HTTP/1.1 "));
    c->chunked = strcasestr(c->header, "\r\ntransfer-encoding: chunked") != 0;
    c->closes = strcasestr(c->header, "\r\nconnection: close") != 0;
    char *size = strcasestr(c->header, "\r\ncontent-length:");
    if (size)
        c->left = atol(size + strlen("\r\ncontent-length:"));
    c->until_eof = !c->chunked && !size;
    return end + 4 - c->header - before;
}

/* 1 when the answer is complete, -1 when it is broken. */
static int feed(struct connection *c, const char *data, size_t length, uint64_t now) {
    if (c->in_header) {
        long used = read_header(c, data, length);
        if (used < 0 || c->in_header)
            return used < 0 ? -1 : 0;
        data += used;
        length -= used;
    }
    if (!c->chunked) {
        read_body(c, data, length, now);
        c->left -= length;
        return !c->until_eof && c->left <= 0;
    }
    while (length) {
        size_t used = 1;
        switch (c->framing) {
        case CHUNK_SIZE:
            if (*data == '\n') {
                c->size_text[c->size_length] = 0;
                c->size_length = 0;
                c->left = strtol(c->size_text, 0, 16);
                c->framing = c->left ? CHUNK_DATA : LAST_LINES;
                c->end_left = 2;
            } else if (c->size_length < (int)sizeof c->size_text - 1)
                c->size_text[c->size_length++] = *data;
            break;
        case CHUNK_DATA:
            used = length < (size_t)c->left ? length : (size_t)c->left;
            read_body(c, data, used, now);
            c->left -= used;
            if (!c->left)
                c->framing = CHUNK_END;
            break;
        case CHUNK_END:
            if (--c->end_left == 0)
                c->framing = CHUNK_SIZE;
            break;
        case LAST_LINES:
            if (--c->end_left == 0)
                return 1;
            break;
        }
        data += used;
        length -= used;
    }
    return 0;
}

/* 1 when the answer is complete, -1 when it is broken. */
static int receive(struct connection *c) {
    static char buffer[65536];
    for (;;) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        if (n == 0)
            return !c->in_header && c->until_eof ? 1 : -1;
        last_byte_at = now_ns();
        int outcome = feed(c, buffer, n, last_byte_at);
        if (outcome || (size_t)n < sizeof buffer)
            return outcome;
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void count(struct connection *c, int broken) {
    answer_count++;
    if (broken && (c->phase == CONNECTING || c->in_header))
        error_count++;
    else if (broken)
        cut_count++;
    else if (c->status != 200) {
        bad_count++;
        bad_status = c->status;
    } else {
        ok_count++;
        done_count += c->complete;
        note(&latency, now_ns() - c->sent_at);
    }
}

static void ended(struct connection *c, int broken) {
    count(c, broken);
    if (asked.streaming && --c->rounds_left <= 0) {
        close(c->fd);
        c->fd = -1;
        c->phase = OVER;
        live--;
    } else if (broken || c->until_eof || c->closes)
        dial(c);
    else if (ask(c) < 0) { /* the server closed an idle connection: not an answer */
        error_count++;
        dial(c);
    }
}

static void serve(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT && c->phase == CONNECTING) {
        int problem = 0;
        socklen_t size = sizeof problem;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        wait_for(c, EPOLLIN, EPOLL_CTL_MOD);
        if (problem || ask(c) < 0) {
            ended(c, 1);
            return;
        }
    } else if (events & EPOLLOUT && c->phase == SENDING) {
        if (send_rest(c) < 0) {
            ended(c, 1);
            return;
        }
        if (c->phase == READING)
            wait_for(c, EPOLLIN, EPOLL_CTL_MOD);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        int outcome = c->phase == CONNECTING ? -1 : receive(c);
        if (outcome)
            ended(c, outcome < 0);
    }
}

static char *slurp(const char *name) {
    FILE *file = fopen(name, "r");
    char *text = calloc(1, 8 << 20);
    if (!file || !text) {
        perror(name);
        exit(2);
    }
    text[fread(text, 1, (8 << 20) - 1, file)] = 0;
    fclose(file);
    return text;
}

static int read_arguments(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "usp:P:c:d:r:b:H:w:T:S:D:")) > 0)
        switch (option) {
        case 'u': asked.streaming = 0; break;
        case 's': asked.streaming = 1; break;
        case 'p': asked.port = atoi(optarg); break;
        case 'P': asked.path = optarg; break;
        case 'c': asked.connections = atoi(optarg); break;
        case 'd': asked.seconds = atof(optarg); break;
        case 'r': asked.rounds = atoi(optarg); break;
        case 'b': asked.body = optarg[0] == '@' ? slurp(optarg + 1) : optarg; break;
        case 'H':
            if (strlen(asked.headers) + strlen(optarg) + 3 > sizeof asked.headers)
                return 0;
            strcat(strcat(asked.headers, optarg), "\r\n");
            break;
        case 'w': asked.warm_seconds = atof(optarg); break;
        case 'T': asked.limit_seconds = atof(optarg); break;
        case 'S': asked.spread_ms = atoi(optarg); break;
        case 'D': asked.delta = optarg; break;
        default: return 0;
        }
    return asked.port > 0 && asked.body && asked.connections > 0;
}

int main(int argc, char **argv) {
    if (!read_arguments(argc, argv)) {
        fprintf(stderr, "load: -p PORT and -b BODY are wanted; the rest is told at the top of load.c\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    make_template();
    poller = epoll_create1(0);

    struct connection *all = calloc(asked.connections, sizeof *all);
    uint64_t began = now_ns(), counted_from = began, warm_until = began;
    uint64_t ends = began + (uint64_t)((asked.streaming ? asked.limit_seconds : asked.seconds + asked.warm_seconds) * 1e9);
    if (!asked.streaming)
        warm_until += (uint64_t)(asked.warm_seconds * 1e9);
    serial = began; /* so that a second run asks other questions */
    last_byte_at = began;
    for (int i = 0; i < asked.connections; i++) {
        all[i].fd = -1;
        all[i].rounds_left = asked.rounds;
        all[i].starts_at = began + (uint64_t)asked.spread_ms * 1000000ull * i / asked.connections;
        all[i].request = malloc(template.length + 1);
        memcpy(all[i].request, template.text, template.length + 1);
    }

    struct epoll_event events[512];
    int dialled = 0, warming = warm_until > began;
    uint64_t now;
    for (live = asked.connections; live > 0 && (now = now_ns()) < ends && error_count + cut_count < MAX_FAILURES;) {
        if (warming && now >= warm_until) {
            warming = 0;
            counted_from = now;
            ok_count = bad_count = error_count = cut_count = 0;
            latency.count = 0;
        }
        while (dialled < asked.connections && all[dialled].starts_at <= now)
            dial(&all[dialled++]);
        int ready = epoll_wait(poller, events, 512, dialled < asked.connections ? 1 : 50);
        for (int i = 0; i < ready; i++)
            serve(events[i].data.ptr, events[i].events);
    }

    double seconds = ((asked.streaming ? last_byte_at : now_ns()) - counted_from) / 1e9;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"seconds\":%.3f,\"ok\":%ld,\"bad\":%ld,\"bad_status\":%ld,\"error\":%ld,\"cut\":%ld,\"answers\":%ld,"
           "\"done\":%ld,\"unfinished\":%d,\"chunks\":%ld,\"client_cpu_seconds\":%.3f",
           seconds, ok_count, bad_count, bad_status, error_count, cut_count, answer_count, done_count,
           asked.streaming ? live : 0, chunk_count,
           used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    print_samples("latency_us", &latency);
    print_samples("age_us", &age);
    print_samples("first_chunk_us", &first_chunk);
    printf("}\n");
    return 0;
}
