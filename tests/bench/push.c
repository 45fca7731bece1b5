/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads a listener: many connections, many PUTs ahead of their answers, and little work for each, so
 * that what is measured is the listener.
 *
 *   bench_push [--way framed|stream|each] [--connections N] [--window N] [--payloads N] [--number N]
 *              [--tls-ca FILE] PORT FILE...
 *
 * Comes in: files of payloads, gzip for the way framed, which are sent again and again to a port of
 * 127.0.0.1. Goes out: a line of name=value once all are answered, or once the listener has closed
 * what it had read to the end. A minute without any event ends it with status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "peer.h"

enum {
	EVENTS = 64,
	PATIENCE_MS = 60000,
	CONNECTIONS_MOST = 10000,
	PAYLOADS_MOST = 100000000,
	GZIP_LEAST = 18, /* octets of a member's head and tail (RFC 1952 section 2.3) */
};

struct push {
	struct errand errand;
	uint64_t connections;
	struct peer **peer;
	int epoll;
	double began;
};

void push_fail(const char *what, const char *which)
{
	fprintf(stderr, "bench_push: %s: %s\n", which, what);
	exit(1);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void watch(struct push *p, uint64_t i)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				     .data.u64 = i };
	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, peer_socket(p->peer[i]), &event) != 0)
		push_fail(strerror(errno), "epoll");
}

static void open_peer(struct push *p, uint64_t i)
{
	p->peer[i] = peer_new(&p->errand);
	watch(p, i);
}

static void go_on(struct push *p, uint64_t i)
{
	if (p->peer[i] == NULL)
		return;
	peer_run(p->peer[i]);
	if (!peer_ended(p->peer[i]))
		return;
	peer_free(&p->peer[i]);
	if (p->errand.way == WAY_EACH && p->errand.begun < p->errand.payloads)
		open_peer(p, i);
}

static void push_all(struct push *p)
{
	struct epoll_event event[EVENTS];
	while (p->errand.done < p->errand.payloads) {
		int n = epoll_wait(p->epoll, event, EVENTS, PATIENCE_MS);
		if (n == 0 || (n < 0 && errno != EINTR))
			push_fail("nothing came for a minute", "listener");
		for (int i = 0; i < n; i++)
			go_on(p, event[i].data.u64);
	}
}

/* ---- what came of it ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

static double percentile(const struct errand *e, double part)
{
	if (e->way != WAY_FRAMED)
		return 0;
	return e->latency_ms[(size_t)((double)(e->done - 1) * part)];
}

static void report(struct push *p)
{
	struct errand *e = &p->errand;
	struct timespec own;
	double seconds = push_clock() - p->began;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
	qsort(e->latency_ms, e->done, sizeof(*e->latency_ms), compare);
	printf("payloads=%llu octets=%llu flows=%llu seconds=%.6f own_seconds=%.6f p50_ms=%.3f "
	       "p99_ms=%.3f\n",
	       (unsigned long long)e->done, (unsigned long long)e->octets,
	       (unsigned long long)e->flows, seconds,
	       (double)own.tv_sec + (double)own.tv_nsec / 1e9, percentile(e, 0.5),
	       percentile(e, 0.99));
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static uint64_t number(const char *option, const char *text, uint64_t most)
{
	uint64_t n = 0;
	if (text == NULL || !number_parse(slice_text(text), most, &n))
		push_fail("takes a number", option);
	return n;
}

static enum way way_of(const char *text)
{
	static const char *const names[] = { "framed", "stream", "each" };
	for (unsigned i = 0; text != NULL && i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			return (enum way)i;
	push_fail("framed, stream or each", "--way");
}

static void trust(struct errand *e, const char *ca)
{
	struct tls_mistake mistake;
	struct tls_files files = { .ca = ca };
	if (ca == NULL || !tls_context_load(&e->tls, TLS_CLIENT, &files, &mistake))
		push_fail("cannot be used", "--tls-ca");
}

static char **options(struct push *p, char **argv)
{
	struct errand *e = &p->errand;
	for (; *argv != NULL && strncmp(*argv, "--", 2) == 0; argv += 2) {
		if (strcmp(*argv, "--way") == 0)
			e->way = way_of(argv[1]);
		else if (strcmp(*argv, "--connections") == 0)
			p->connections = number(*argv, argv[1], CONNECTIONS_MOST);
		else if (strcmp(*argv, "--window") == 0)
			e->window = (unsigned)number(*argv, argv[1], WINDOW_MOST);
		else if (strcmp(*argv, "--payloads") == 0)
			e->payloads = number(*argv, argv[1], PAYLOADS_MOST);
		else if (strcmp(*argv, "--number") == 0)
			e->number = number(*argv, argv[1], UINT32_MAX);
		else if (strcmp(*argv, "--tls-ca") == 0)
			trust(e, argv[1]);
		else
			push_fail("unknown", *argv);
	}
	return argv;
}

static void read_file(const struct errand *e, struct file *f, const char *path)
{
	if (file_read(f, path) != 0)
		push_fail("cannot be read", path);
	if (e->way == WAY_FRAMED &&
	    (f->len < GZIP_LEAST || memcmp(f->octets, "\x1f\x8b\x08", 3) != 0))
		push_fail("not gzip", path);
}

static void read_files(struct errand *e, char **paths)
{
	while (paths[e->files] != NULL)
		e->files++;
	e->file = calloc(e->files, sizeof(*e->file));
	if (e->file == NULL)
		push_fail("no memory", "payloads");
	for (size_t i = 0; i < e->files; i++)
		read_file(e, &e->file[i], paths[i]);
	if (e->payloads == 0)
		e->payloads = e->files;
}

/* All are connected before the first sends. */
static void open_all(struct push *p)
{
	struct errand *e = &p->errand;
	if (p->connections > e->payloads)
		p->connections = e->payloads;
	p->peer = calloc(p->connections, sizeof(struct peer *));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	e->latency_ms = calloc(e->payloads, sizeof(*e->latency_ms));
	if (p->peer == NULL || p->epoll < 0 || e->latency_ms == NULL)
		push_fail("no memory", "peers");
	for (uint64_t i = 0; i < p->connections; i++)
		p->peer[i] = peer_new(e);
	p->began = push_clock();
	for (uint64_t i = 0; i < p->connections; i++)
		watch(p, i);
}

static void close_all(struct push *p)
{
	for (uint64_t i = 0; i < p->connections; i++)
		if (p->peer[i] != NULL)
			peer_free(&p->peer[i]);
	for (size_t i = 0; i < p->errand.files; i++)
		file_free(&p->errand.file[i]);
	free(p->errand.file);
	free(p->errand.latency_ms);
	free(p->peer);
	close(p->epoll);
	if (p->errand.tls != NULL)
		tls_context_free(&p->errand.tls);
}

int main(int argc, char **argv)
{
	struct push p = { .connections = 1, .errand = { .window = 8 } };
	struct errand *e = &p.errand;
	char **rest = options(&p, argv + 1);
	(void)argc;
	if (rest[0] == NULL || rest[1] == NULL || p.connections == 0 || e->window == 0)
		push_fail("[OPTION]... PORT FILE...", "usage");
	e->to = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_port = htons((uint16_t)number("PORT", rest[0], 65535)),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	read_files(e, rest + 1);
	open_all(&p);
	push_all(&p);
	report(&p);
	close_all(&p);
	return 0;
}
