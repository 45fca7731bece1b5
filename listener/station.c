/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One station's life on its own thread, and the letter box through which others reach it. Orders are
 * a few flags and not a queue: what is ordered twice before it is looked at is done once.
 */
#include "station.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "receive/server.h"
#include "sum/writer.h"

enum {
	LAST_CALL_MS = 250, /* connections and octets that the kernel has may still come in */
	POLL_MS = 20,	    /* how often the end looks whether it is reached */
	PATH_ROOM = 4096,
	LOCK_WAIT_MS = 2000, /* a spool's last process may be ending yet */
};

enum phase { RUNNING, LAST_CALL, DRAINING, WRITING, OVER };

struct orders {
	bool begin;
	bool end;
	bool abort;
	unsigned hup;		     /* 0 for none */
	const struct config *config; /* a reference; NULL for none */
	unsigned question;
};

struct station {
	const struct station_plan *plan;
	unsigned number;
	const struct config *config; /* in force; a reference */
	struct worker worker;
	struct spool *spool; /* NULL without --spool */
	/* Number 0's: of workers that there were in an earlier run, and their numbers. */
	struct spool *left[WORKERS_MOST];
	struct server server;
	struct reader *reader;
	struct sum_writer *sum_writer; /* of the last one that had read its files */
	bool listening;
	enum phase phase;
	uint64_t ending_ms; /* when the end began */
	bool ordered;	    /* the end was: --drain-timeout holds */
	bool abort;
	uv_timer_t end_timer;
	uv_async_t orders_async;
	uv_thread_t thread;
	bool started; /* the thread */

	uv_mutex_t mutex; /* of what follows */
	bool heeding;	  /* somebody looks at orders */
	struct orders orders;
	struct station_news news;
};

static uint64_t now_ms(const struct station *s)
{
	return uv_now(&s->worker.loop);
}

/* ---- news ------------------------------------------------------------------------------------ */

static void tell(struct station *s, bool *news)
{
	uv_mutex_lock(&s->mutex);
	*news = true;
	uv_mutex_unlock(&s->mutex);
	s->plan->on_news(s->plan->data);
}

static void set_status(struct station *s, int status)
{
	uv_mutex_lock(&s->mutex);
	s->news.status = status;
	uv_mutex_unlock(&s->mutex);
}

static void count(struct station *s)
{
	struct counts counts = { .stats = { 0 } };
	worker_count(&s->worker, &counts);
	if (s->worker.pipeline.watch != NULL)
		watch_tick(s->worker.pipeline.watch, now_ms(s));
	uv_mutex_lock(&s->mutex);
	s->news.counts = counts;
	s->news.files = s->reader == NULL ? 0 : reader_files(s->reader);
	uv_mutex_unlock(&s->mutex);
}

void station_look(struct station *s, struct station_news *news)
{
	uv_mutex_lock(&s->mutex);
	*news = s->news;
	uv_mutex_unlock(&s->mutex);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Number 0 goes on for the others' sake, with nothing more to do. */
static void stop(struct station *s, bool abort)
{
	s->abort = s->abort || abort;
	if (s->phase == OVER)
		return;
	s->phase = OVER;
	uv_timer_stop(&s->end_timer);
	if (s->number == 0)
		tell(s, &s->news.over);
	else
		uv_stop(&s->worker.loop);
}

static void fail(struct station *s)
{
	set_status(s, 1);
	tell(s, &s->news.failed);
	stop(s, true);
}

static void stop_replay(struct station *s)
{
	if (s->spool != NULL)
		spool_stop(s->spool);
	for (unsigned i = 0; i < WORKERS_MOST; i++)
		if (s->left[i] != NULL)
			spool_stop(s->left[i]);
}

/* Whether no payload is being replayed. */
static bool is_between(const struct station *s)
{
	bool between = spool_is_between(s->spool);
	for (unsigned i = 0; i < WORKERS_MOST; i++)
		between = between && (s->left[i] == NULL || spool_is_between(s->left[i]));
	return between;
}

static void begin_writing(struct station *s)
{
	s->phase = WRITING;
	stop_replay(s);
	worker_last_call(&s->worker);
}

/* Whether everything is where it is safe. */
static bool is_written(const struct station *s)
{
	if (s->listening && server_is_taking(&s->server))
		return false;
	if (s->spool == NULL)
		return worker_delivered(&s->worker);
	return (is_between(s) || pipeline_full(&s->worker.pipeline)) &&
	       worker_may_leave(&s->worker);
}

static void on_drained(struct server *server)
{
	struct station *s = server->data;
	if (s->phase != OVER)
		begin_writing(s);
}

static void give_up(struct station *s)
{
	if (s->phase == WRITING && s->spool != NULL && worker_has_copies(&s->worker)) {
		log_info("main", "not done within --drain-timeout, the rest stays in the spool");
	} else {
		log_error("main", "not done within --drain-timeout, giving up on what is left");
		set_status(s, 1);
	}
	stop(s, true);
}

static void on_end_timer(uv_timer_t *timer)
{
	struct station *s = timer->data;
	uint64_t waited = now_ms(s) - s->ending_ms;
	if (s->phase == LAST_CALL && waited >= LAST_CALL_MS) {
		s->phase = DRAINING;
		server_drain(&s->server, on_drained);
	}
	if (s->phase == WRITING && is_written(s))
		stop(s, false);
	else if (s->phase != OVER && s->ordered && waited >= s->config->limits.drain * 1000)
		give_up(s);
}

static void begin_end(struct station *s, enum phase phase)
{
	s->phase = phase;
	if (phase == WRITING)
		begin_writing(s);
	s->ending_ms = now_ms(s);
	uv_timer_start(&s->end_timer, on_end_timer, 0, POLL_MS);
}

/* Sums that are not of all flows would be wrong, and who reads them could not tell. */
static void fail_sums(struct station *s, int error, size_t keys)
{
	const struct limits *limits = &s->config->limits;
	if (error == -ENOBUFS)
		log_error("sum",
			  "more sums than memory was allowed for, nothing is written: raise "
			  "--aggregate-memory, or sum by fewer keys sums=%zu "
			  "option=\"--aggregate-memory %llu\"",
			  keys, (unsigned long long)limits->aggregate_memory);
	else
		log_error("sum", "out of memory, the sums are not written sums=%zu", keys);
	fail(s);
}

static void on_sums_written(void *data, int error)
{
	struct station *s = data;
	if (s->phase == OVER)
		return;
	if (error == 0)
		begin_end(s, WRITING);
	else
		fail_sums(s, error, 0);
}

/* The last one writes the sums of all. */
static void hand_in_sums(struct station *s)
{
	struct pipeline *p = &s->worker.pipeline;
	bool last = false;
	int error = p->sums_error;
	if (error == 0)
		error = sums_hand_in(&p->sums, &last);
	if (error != 0) {
		fail_sums(s, error, sums_count(p->sums));
	} else if (!last) {
		begin_end(s, WRITING);
	} else {
		s->sum_writer = sum_writer_new(&s->worker, s->plan->summing, on_sums_written, s);
		if (s->sum_writer == NULL)
			fail_sums(s, -ENOMEM, 0);
	}
}

static void on_read_done(struct reader *reader, void *data)
{
	struct station *s = data;
	(void)reader;
	if (s->phase == OVER)
		return;
	if (s->plan->summing != NULL)
		hand_in_sums(s);
	else
		begin_end(s, WRITING);
}

static void on_output_error(struct worker *w)
{
	struct station *s = w->data;
	if (s->phase != OVER)
		fail(s);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static bool begin_listening(struct station *s)
{
	s->listening = true;
	if (server_init(&s->server, &s->worker, s->plan->sockets, s->number, s->plan->seen,
			s->spool) != 0)
		return false;
	s->server.data = s;
	if (s->spool != NULL)
		spool_start(s->spool);
	for (unsigned i = 0; i < WORKERS_MOST; i++)
		if (s->left[i] != NULL)
			spool_start(s->left[i]);
	return true;
}

static bool begin_reading(struct station *s)
{
	struct pipeline *p = &s->worker.pipeline;
	bool summing = s->plan->summing != NULL;
	if (summing)
		p->sums = sums_new(s->plan->summing);
	if (!summing || p->sums != NULL)
		s->reader = reader_new(&s->worker, s->plan->reading, on_read_done, s);
	if (s->reader == NULL)
		log_error("read", "out of memory");
	return s->reader != NULL;
}

static void begin(struct station *s)
{
	if (s->config->read ? begin_reading(s) : begin_listening(s))
		tell(s, &s->news.begun);
	else
		fail(s);
}

static void end(struct station *s)
{
	s->ordered = true;
	if (s->reader != NULL) {
		reader_stop(s->reader);
		sum_writer_free(&s->sum_writer);
		begin_end(s, WRITING);
	} else if (s->listening && s->phase == RUNNING) {
		begin_end(s, LAST_CALL);
	} else if (!s->listening) {
		stop(s, true);
	}
}

static void renew(struct station *s, const struct orders *orders)
{
	worker_reopen_outputs(&s->worker, orders->hup);
	if (orders->config == NULL)
		return;
	worker_set_config(&s->worker, orders->config);
	config_release(s->config);
	s->config = orders->config;
}

static void answer(struct station *s, unsigned question)
{
	count(s);
	uv_mutex_lock(&s->mutex);
	s->news.answered = question;
	uv_mutex_unlock(&s->mutex);
	s->plan->on_news(s->plan->data);
}

static void on_orders(uv_async_t *async)
{
	struct station *s = async->data;
	uv_mutex_lock(&s->mutex);
	struct orders orders = s->orders;
	s->orders = (struct orders){ .begin = false };
	uv_mutex_unlock(&s->mutex);
	if (orders.hup != 0)
		renew(s, &orders);
	if (orders.begin && s->phase == RUNNING)
		begin(s);
	if (orders.question != 0)
		answer(s, orders.question);
	if (orders.end && s->phase != OVER)
		end(s);
	if (orders.abort)
		stop(s, true);
}

/* Begins to change the orders. False: nobody would look at them. */
static bool open_orders(struct station *s)
{
	uv_mutex_lock(&s->mutex);
	bool heeding = s->heeding;
	if (!heeding)
		uv_mutex_unlock(&s->mutex);
	return heeding;
}

/* Within the lock: once it is released the handle may be closed at any time. */
static void send_orders(struct station *s)
{
	uv_async_send(&s->orders_async);
	uv_mutex_unlock(&s->mutex);
}

void station_begin(struct station *s)
{
	if (!open_orders(s))
		return;
	s->orders.begin = true;
	send_orders(s);
}

void station_end(struct station *s)
{
	if (!open_orders(s))
		return;
	s->orders.end = true;
	send_orders(s);
}

void station_abort(struct station *s)
{
	if (!open_orders(s))
		return;
	s->orders.abort = true;
	send_orders(s);
}

void station_renew(struct station *s, unsigned hup, const struct config *config)
{
	if (!open_orders(s))
		return;
	s->orders.hup = hup;
	if (config != NULL) {
		config_release(s->orders.config);
		s->orders.config = config_reference(config);
	}
	send_orders(s);
}

void station_ask(struct station *s, unsigned question)
{
	if (!open_orders(s))
		return;
	s->orders.question = question;
	send_orders(s);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void on_outputs_up(struct worker *w)
{
	struct station *s = w->data;
	if (s->phase == RUNNING)
		tell(s, &s->news.up);
}

bool station_new(struct station **s, const struct station_plan *plan, unsigned number)
{
	struct station *new = calloc(1, sizeof(*new));
	if (new == NULL || uv_mutex_init(&new->mutex) != 0) {
		log_error("main", "out of memory");
		free(new);
		return false;
	}
	new->plan = plan;
	new->number = number;
	new->config = config_reference(plan->config);
	if (!worker_init(&new->worker, new->config, plan->stations)) {
		config_release(new->config);
		uv_mutex_destroy(&new->mutex);
		free(new);
		return false;
	}
	if (plan->watches != NULL)
		new->worker.pipeline.watch = plan->watches->watch[number];
	new->worker.data = new;
	new->worker.on_output_error = on_output_error;
	uv_timer_init(&new->worker.loop, &new->end_timer);
	new->end_timer.data = new;
	*s = new;
	return true;
}

uv_loop_t *station_loop(struct station *s)
{
	return &s->worker.loop;
}

/* DIR is number 0's, DIR/1, DIR/2 … the others'. False: it is too long. */
static bool spool_path(const struct config *c, unsigned number, char path[PATH_ROOM])
{
	int len = number == 0 ? snprintf(path, PATH_ROOM, "%s", c->spool)
			      : snprintf(path, PATH_ROOM, "%s/%u", c->spool, number);
	return (size_t)len < PATH_ROOM;
}

/* Who comes right after a process that was killed finds the spool still locked for a moment. */
static int open_soon(struct station *s, struct spool **spool, const char *path)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000 };
	uint64_t until = uv_hrtime() + LOCK_WAIT_MS * 1000000ull;
	int error;
	while ((error = spool_open(spool, &s->worker, path, s->plan->seen)) == -EWOULDBLOCK &&
	       uv_hrtime() < until)
		nanosleep(&pause, NULL);
	return error;
}

/* What does not go away by itself. */
static bool is_mistake(int error)
{
	switch (-error) {
	case EACCES:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENOENT:
	case ENOTDIR:
	case EPERM:
	case EROFS:
	case EWOULDBLOCK:
		return true;
	default:
		return false;
	}
}

/* 0, or the exit status. */
static int open_folder(struct station *s, struct spool **spool, unsigned number)
{
	char path[PATH_ROOM] = "";
	int error = spool_path(s->config, number, path) ? open_soon(s, spool, path) : -ENAMETOOLONG;
	if (error == 0)
		return 0;
	log_error("spool", "cannot use it option=\"--spool %s\" error=\"%s\"", path,
		  error == -EWOULDBLOCK ? "another process uses it" : error_text(error));
	return is_mistake(error) ? 2 : 1;
}

static bool is_folder(const struct station *s, unsigned number)
{
	char path[PATH_ROOM];
	struct stat st;
	return spool_path(s->config, number, path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* 0, or the exit status. */
static int open_spools(struct station *s)
{
	if (s->config->read || s->config->spool == NULL)
		return 0;
	int failed = open_folder(s, &s->spool, s->number);
	if (s->number != 0)
		return failed;
	for (unsigned i = s->plan->stations; i < WORKERS_MOST && failed == 0; i++)
		if (is_folder(s, i))
			failed = open_folder(s, &s->left[i], i);
	return failed;
}

int station_open(struct station *s, const struct station *first)
{
	int error = uv_async_init(&s->worker.loop, &s->orders_async, on_orders);
	if (error != 0) {
		log_error("main", "no orders error=\"%s\"", error_text(error));
		return 1;
	}
	s->orders_async.data = s;
	s->heeding = true;
	int failed = open_spools(s);
	if (failed != 0)
		return failed;
	/* A reader's first record tells the columns, unless the user did. */
	bool begin = !s->config->read || s->config->columns_known;
	const struct worker *beside = first == s ? NULL : &first->worker;
	return worker_open_outputs(&s->worker, beside, begin, on_outputs_up) ? 0 : 1;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void close_spools(struct station *s)
{
	char path[PATH_ROOM];
	for (unsigned i = 0; i < WORKERS_MOST; i++) {
		if (s->left[i] == NULL)
			continue;
		spool_close(s->left[i]);
		if (spool_path(s->config, i, path))
			store_remove_folder(path);
	}
	if (s->spool != NULL)
		spool_close(s->spool);
}

static void free_spools(struct station *s)
{
	for (unsigned i = 0; i < WORKERS_MOST; i++)
		spool_free(&s->left[i]);
	spool_free(&s->spool);
}

static void close_orders(struct station *s)
{
	uv_mutex_lock(&s->mutex);
	if (s->heeding)
		uv_close((uv_handle_t *)&s->orders_async, NULL);
	s->heeding = false;
	config_release(s->orders.config);
	s->orders.config = NULL;
	uv_mutex_unlock(&s->mutex);
}

/* Closes everything, and runs the loop to its end. */
static void finish(struct station *s)
{
	if (s->listening)
		server_close(&s->server);
	close_orders(s);
	uv_close((uv_handle_t *)&s->end_timer, NULL);
	if (s->reader != NULL) {
		reader_stop(s->reader);
		if (reader_failed(s->reader))
			set_status(s, 1);
	}
	sum_writer_free(&s->sum_writer);
	sums_free(&s->worker.pipeline.sums);
	count(s);
	close_spools(s);
	if (s->listening)
		server_deinit(&s->server);
	int error = worker_close(&s->worker, s->abort);
	free_spools(s);
	reader_free(&s->reader);
	if (error == 0)
		return;
	log_error("main", "the event loop has handles left error=\"%s\"", error_text(error));
	set_status(s, 1);
}

static void run(void *arg)
{
	struct station *s = arg;
	uv_run(&s->worker.loop, UV_RUN_DEFAULT);
	finish(s);
	tell(s, &s->news.over);
}

int station_start(struct station *s)
{
	char name[16];
	(void)snprintf(name, sizeof(name), "worker %u", s->number);
	int error = thread_start(&s->thread, name, 0, run, s);
	s->started = error == 0;
	if (error != 0)
		log_error("main", "no thread error=\"%s\"", error_text(error));
	return error;
}

void station_close(struct station **s, struct station_news *last)
{
	struct station *old = *s;
	*s = NULL;
	if (old->started)
		uv_thread_join(&old->thread);
	else
		finish(old);
	*last = old->news;
	config_release(old->config);
	uv_mutex_destroy(&old->mutex);
	free(old);
}
