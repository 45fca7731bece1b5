/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the process: start, signals, and an end in good order.
 *
 *   TERM, INT ─▶ a last call for what is on its way ─▶ drain the peers ─▶ wait for the outputs
 *                └────────── --drain-timeout, or a second signal ──────────┴─▶ give up the rest
 *   HUP       ─▶ files opened anew; sources, tokens, certificates, --allow and limits read again
 *   USR1      ─▶ counters
 *   output failed for good ─▶ stop at once, exit 1
 */
#include "service.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/notify.h"
#include "receive/inherited.h"
#include "receive/reader.h"
#include "receive/server.h"

enum {
	LAST_CALL_MS = 250, /* connections and octets that the kernel has may still come in */
	POLL_MS = 20,	    /* how often the end looks whether it is reached */
	PROGRESS_MS = 10000,
	SPARE_FILES = 64, /* descriptors beside those of connections */
	SPARE_SECS = 5,	  /* that the end may take beyond --drain-timeout */
	STATUS_ROOM = 512,
	LOCK_WAIT_MS = 2000, /* a spool's last process may be ending yet */
};

enum phase { RUNNING, LAST_CALL, DRAINING, WRITING, OVER };

struct service {
	const struct config *first; /* whose outputs are open */
	const struct config *config;
	int argc;
	char **argv;
	struct worker worker;
	struct seen *seen;
	struct spool *spool; /* NULL without --spool */
	struct server server;
	struct reader *reader;
	bool listening;
	enum phase phase;
	uint64_t ending_ms; /* when the end began */
	bool abort;
	unsigned stop_signals;
	unsigned hups;
	int status;
	uv_signal_t signals[4];
	size_t watched; /* of them */
	uv_timer_t end_timer;
	uv_timer_t progress_timer;
	struct notify notify;
	uv_timer_t watchdog_timer;
	unsigned inherited; /* listening sockets that came with the process */
};

static uint64_t now_ms(const struct service *s)
{
	return uv_now(&s->worker.loop);
}

/* ---- the service manager ----------------------------------------------------------------------- */

/* From the loop, so that a loop that hangs is found out. */
static void on_watchdog_timer(uv_timer_t *timer)
{
	struct service *s = timer->data;
	notify_tell(&s->notify, "WATCHDOG=1");
}

static void tell_ready(const struct service *s, const char *more)
{
	char addresses[STATUS_ROOM] = "";
	FILE *out = s->listening ? fmemopen(addresses, sizeof(addresses), "w") : NULL;
	if (out != NULL) {
		server_print_addresses(&s->server, out);
		(void)fclose(out);
	}
	for (char *end = addresses; (end = strchr(end, '\n')) != NULL;)
		*end = end[1] == '\0' ? '\0' : ' ';
	notify_tell(&s->notify, "READY=1\nSTATUS=%s %s%s",
		    s->listening ? "listening on" : "reading", addresses, more);
}

/* As reloading begins; the time is CLOCK_MONOTONIC's, as is the manager's own. */
static void tell_reloading(const struct service *s)
{
	notify_tell(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
		    (unsigned long long)(uv_hrtime() / 1000));
}

/* --drain-timeout may be longer than the manager's own patience. */
static void tell_stopping(const struct service *s)
{
	unsigned long long secs = s->config->limits.drain + SPARE_SECS;
	notify_tell(&s->notify, "STOPPING=1\nSTATUS=finishing\nEXTEND_TIMEOUT_USEC=%llu",
		    secs * 1000000);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void stop(struct service *s, bool abort)
{
	s->phase = OVER;
	s->abort = abort;
	uv_stop(&s->worker.loop);
}

static void begin_writing(struct service *s)
{
	s->phase = WRITING;
	if (s->spool != NULL)
		spool_stop(s->spool);
	worker_last_call(&s->worker);
}

/* Whether everything is where it is safe. */
static bool is_written(const struct service *s)
{
	if (s->listening && server_is_taking(&s->server))
		return false;
	if (s->spool == NULL)
		return worker_delivered(&s->worker);
	bool between = spool_is_between(s->spool) || pipeline_full(&s->worker.pipeline);
	return between && worker_may_leave(&s->worker);
}

static void on_drained(struct server *server)
{
	begin_writing(server->data);
}

static void give_up(struct service *s)
{
	if (s->phase == WRITING && s->spool != NULL && worker_has_copies(&s->worker)) {
		log_info("main", "not done within --drain-timeout, the rest stays in the spool");
	} else {
		log_error("main", "not done within --drain-timeout, giving up on what is left");
		s->status = 1;
	}
	stop(s, true);
}

static void on_end_timer(uv_timer_t *timer)
{
	struct service *s = timer->data;
	uint64_t waited = now_ms(s) - s->ending_ms;
	if (s->phase == LAST_CALL && waited >= LAST_CALL_MS) {
		s->phase = DRAINING;
		server_drain(&s->server, on_drained);
	}
	if (s->phase == WRITING && is_written(s))
		stop(s, false);
	else if (s->phase != OVER && s->stop_signals > 0 &&
		 waited >= s->config->limits.drain * 1000)
		give_up(s);
}

static void begin_end(struct service *s, enum phase phase)
{
	s->phase = phase;
	tell_stopping(s);
	if (phase == WRITING)
		begin_writing(s);
	s->ending_ms = now_ms(s);
	uv_timer_start(&s->end_timer, on_end_timer, 0, POLL_MS);
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
	struct service *s = signal->data;
	const char *name = number == SIGINT ? "INT" : "TERM";
	if (s->stop_signals++ > 0) {
		log_warn("main", "stopping at once signal=%s", name);
		s->status = 1;
		stop(s, true);
	} else if (s->reader != NULL) {
		log_warn("main", "interrupted, the rest is not read signal=%s", name);
		reader_stop(s->reader);
		s->status = 1;
		begin_end(s, WRITING);
	} else if (!s->listening) {
		log_warn("main", "stopped before the outputs were up signal=%s", name);
		s->status = 1;
		stop(s, true);
	} else {
		log_info("main", "draining signal=%s", name);
		begin_end(s, LAST_CALL);
	}
}

static void on_output_error(struct worker *w)
{
	struct service *s = w->data;
	s->status = 1;
	stop(s, true);
}

static void on_read_done(struct reader *reader, void *data)
{
	struct service *s = data;
	(void)reader;
	begin_end(s, WRITING);
}

/* ---- other signals --------------------------------------------------------------------------- */

static bool text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool fields_equal(const struct format *a, const struct format *b)
{
	return a == NULL || b == NULL ? a == b : format_equal(a, b);
}

static bool outputs_differ(const struct config *a, const struct config *b)
{
	bool differs = a->outputs != b->outputs || a->packet_addresses != b->packet_addresses ||
		       a->aws_elements != b->aws_elements || a->limits.mtu != b->limits.mtu ||
		       a->limits.udp_rate != b->limits.udp_rate ||
		       a->limits.template_refresh != b->limits.template_refresh ||
		       a->limits.template_messages != b->limits.template_messages ||
		       a->limits.reconnect_max != b->limits.reconnect_max;
	for (size_t i = 0; !differs && i < a->outputs; i++)
		differs = strcmp(a->output[i].name, b->output[i].name) != 0;
	return differs || !fields_equal(a->fields, b->fields) ||
	       !format_equal(&a->columns, &b->columns);
}

/* What cannot change while it runs. */
static bool needs_restart(const struct config *a, const struct config *b)
{
	bool differs = a->listens != b->listens || !text_equal(a->spool, b->spool) ||
		       !text_equal(a->ready_file, b->ready_file) ||
		       a->limits.spool_segment != b->limits.spool_segment ||
		       a->limits.remembered != b->limits.remembered ||
		       a->limits.remembered_most != b->limits.remembered_most;
	for (size_t i = 0; !differs && i < a->listens; i++)
		differs = strcmp(a->listen[i].text, b->listen[i].text) != 0;
	return differs || outputs_differ(a, b);
}

/* As many descriptors as connections may come; what the hard limit forbids is said. */
static void raise_file_limit(const struct config *config)
{
	struct rlimit limit;
	rlim_t wanted = config->limits.connections + SPARE_FILES;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warn("main",
			 "fewer files may be open than --max-connections asks for limit=%llu",
			 (unsigned long long)limit.rlim_cur);
}

static bool reload(struct service *s)
{
	struct config *config;
	if (!config_load(&config, s->argc, s->argv)) {
		log_error("main", "the new configuration is not used, the old one stays in force");
		return false;
	}
	if (needs_restart(s->first, config))
		log_warn("main",
			 "other listeners, outputs, columns, duplicates' memory or another spool "
			 "take effect at a restart");
	raise_file_limit(config);
	tokens_succeed(&config->tokens, &s->config->tokens);
	log_set_level(config->log_level);
	worker_set_config(&s->worker, config);
	config_release(s->config);
	s->config = config;
	log_info("main", "configuration read again");
	return true;
}

static void on_hup(uv_signal_t *signal, int number)
{
	struct service *s = signal->data;
	(void)number;
	bool ready = s->phase == RUNNING && (s->listening || s->reader != NULL);
	if (ready)
		tell_reloading(s);
	worker_reopen_outputs(&s->worker, ++s->hups);
	bool good = !s->listening || reload(s);
	if (ready)
		tell_ready(s, good ? "" : "; the new configuration is wrong, the old one is used");
}

static void on_usr1(uv_signal_t *signal, int number)
{
	struct service *s = signal->data;
	(void)number;
	struct counts counts = { .stats = { 0 } };
	worker_count(&s->worker, &counts);
	counts_print(&counts, s->first, stderr);
	(void)fflush(stderr);
}

static void on_progress_timer(uv_timer_t *timer)
{
	struct service *s = timer->data;
	reader_log(s->reader, false);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static bool watch_signals(struct service *s)
{
	const struct {
		int number;
		uv_signal_cb on_signal;
	} watched[] = {
		{ SIGTERM, on_stop_signal },
		{ SIGINT, on_stop_signal },
		{ SIGHUP, on_hup },
		{ SIGUSR1, on_usr1 },
	};
	(void)signal(SIGPIPE, SIG_IGN);
	int error = 0;
	for (size_t i = 0; error == 0 && i < sizeof(watched) / sizeof(*watched); i++) {
		uv_signal_t *handle = &s->signals[i];
		error = uv_signal_init(&s->worker.loop, handle);
		if (error != 0)
			break;
		s->watched++;
		handle->data = s;
		error = uv_signal_start(handle, watched[i].on_signal, watched[i].number);
	}
	if (error != 0)
		log_error("main", "cannot watch signals error=\"%s\"", error_text(error));
	return error == 0;
}

/* Written beside and renamed, so that who waits for it never sees half of it. */
static bool write_ready_file(struct service *s)
{
	const char *path = s->config->ready_file;
	char beside[4096];
	int len = snprintf(beside, sizeof(beside), "%s.new", path);
	FILE *file = (size_t)len < sizeof(beside) ? fopen(beside, "we") : NULL;
	bool ok = file != NULL;
	if (ok) {
		server_print_addresses(&s->server, file);
		ok = !ferror(file);
		ok = fclose(file) == 0 && ok && rename(beside, path) == 0;
	}
	if (!ok)
		log_error("main", "cannot write option=\"--ready-file %s\" error=\"%s\"", path,
			  strerror(errno));
	return ok;
}

static bool start_listening(struct service *s)
{
	s->listening = true;
	if (server_init(&s->server, &s->worker, s->inherited, s->seen, s->spool) != 0)
		return false;
	s->server.data = s;
	if (s->spool != NULL)
		spool_start(s->spool);
	return s->config->ready_file == NULL || write_ready_file(s);
}

static bool start_reading(struct service *s)
{
	s->reader = reader_new(&s->worker, s->config->file, s->config->files, on_read_done, s);
	if (s->reader == NULL) {
		log_error("read", "out of memory");
		return false;
	}
	uv_timer_start(&s->progress_timer, on_progress_timer, PROGRESS_MS, PROGRESS_MS);
	return true;
}

/* Nobody is listened to before there is somewhere to put what they send. */
static void on_outputs_up(struct worker *w)
{
	struct service *s = w->data;
	if (s->phase != RUNNING)
		return;
	if (s->config->read ? start_reading(s) : start_listening(s)) {
		tell_ready(s, "");
		return;
	}
	s->status = 1;
	stop(s, true);
}

/*
 * What the taking of payloads needs. OpenSSL gets itself ready with the first digest, and never
 * again when that failed: so that it is known now.
 */
static bool prepare_taking(struct service *s)
{
	const struct limits *limits = &s->config->limits;
	struct digest digest;
	if (s->config->read)
		return true;
	s->seen = seen_new(limits->remembered_most, limits->remembered);
	if (s->seen != NULL && digest_of(SLICE_NONE, &digest))
		return true;
	log_error("main", "%s", s->seen == NULL ? "out of memory" : "no SHA-256 from OpenSSL");
	return false;
}

/* Who comes right after a process that was killed finds the spool still locked for a moment. */
static int open_spool_soon(struct service *s)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000 };
	uint64_t until = uv_hrtime() + LOCK_WAIT_MS * 1000000ull;
	int error;
	while ((error = spool_open(&s->spool, &s->worker, s->seen)) == -EWOULDBLOCK &&
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
static int open_spool(struct service *s)
{
	const struct config *c = s->config;
	int error = c->read || c->spool == NULL ? 0 : open_spool_soon(s);
	if (error == 0)
		return 0;
	log_error("spool", "cannot use it option=\"--spool %s\" error=\"%s\"", c->spool,
		  error == -EWOULDBLOCK ? "another process uses it" : error_text(error));
	return is_mistake(error) ? 2 : 1;
}

static bool start(struct service *s)
{
	/* A reader's first record tells the columns, unless the user did. */
	bool begin = !s->config->read || s->config->columns_known;
	return worker_open_outputs(&s->worker, NULL, begin, on_outputs_up);
}

static bool make_loop(struct service *s)
{
	if (!worker_init(&s->worker, s->config))
		return false;
	s->worker.data = s;
	s->worker.on_output_error = on_output_error;
	uv_timer_init(&s->worker.loop, &s->end_timer);
	uv_timer_init(&s->worker.loop, &s->progress_timer);
	uv_timer_init(&s->worker.loop, &s->watchdog_timer);
	s->watchdog_timer.data = s;
	if (s->notify.watchdog_ms > 0)
		uv_timer_start(&s->watchdog_timer, on_watchdog_timer, 0, s->notify.watchdog_ms);
	s->end_timer.data = s;
	s->progress_timer.data = s;
	return true;
}

/* The exit status if it has failed already, else 0. */
static int begin(struct service *s)
{
	if (!watch_signals(s) || !prepare_taking(s))
		return 1;
	int failed = open_spool(s);
	if (failed != 0)
		return failed;
	return start(s) ? 0 : 1;
}

static void log_left_out(const struct service *s, const struct counts *counts)
{
	for (size_t i = 0; i < s->first->outputs; i++)
		if (counts->output[i].no_address > 0)
			log_warn("output",
				 "records without both addresses have no place in this format, "
				 "csv and json take them output=%s records=%llu",
				 s->first->output[i].name,
				 (unsigned long long)counts->output[i].no_address);
}

static int finish(struct service *s)
{
	if (s->listening)
		server_close(&s->server);
	for (size_t i = 0; i < s->watched; i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	/* Their standard action would end it with flows that are not written. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGUSR1, SIG_IGN);
	uv_close((uv_handle_t *)&s->end_timer, NULL);
	uv_close((uv_handle_t *)&s->progress_timer, NULL);
	uv_close((uv_handle_t *)&s->watchdog_timer, NULL);
	if (s->reader != NULL) {
		reader_stop(s->reader);
		if (reader_failed(s->reader))
			s->status = 1;
	}
	struct counts counts = { .stats = { 0 } };
	worker_count(&s->worker, &counts);
	log_left_out(s, &counts);
	if (s->spool != NULL)
		spool_close(s->spool);
	if (s->listening)
		server_deinit(&s->server);
	int error = worker_close(&s->worker, s->abort);
	spool_free(&s->spool);
	seen_free(&s->seen);
	if (s->reader != NULL)
		reader_log(s->reader, true);
	reader_free(&s->reader);
	if (error != 0)
		log_error("main", "the event loop has handles left error=\"%s\"",
			  error_text(error));
	return error != 0 ? 1 : s->status;
}

int service_run(const struct config *config, int argc, char **argv)
{
	int status = 1;
	struct service *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		log_error("main", "out of memory");
		return status;
	}
	s->first = config_reference(config);
	s->config = config_reference(config);
	s->argc = argc;
	s->argv = argv;
	notify_init(&s->notify);
	if (!config->read)
		raise_file_limit(config);
	bool taken = config->read || inherited_take(&s->inherited);
	if (taken && make_loop(s)) {
		int failed = begin(s);
		if (failed != 0)
			s->status = failed;
		else
			uv_run(&s->worker.loop, UV_RUN_DEFAULT);
		status = finish(s);
	}
	notify_deinit(&s->notify);
	config_release(s->config);
	config_release(s->first);
	free(s);
	return status;
}
