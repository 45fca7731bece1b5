/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of the process: start, signals, and an end in good order. What is one worker's is
 * station.c's; here they are begun, told, asked and waited for together.
 *
 *   TERM, INT ─▶ the stations end ─▶ all are over
 *                └── --drain-timeout, or a second signal ──▶ they give up the rest
 *   HUP       ─▶ files opened anew; sources, filter, tokens, certificates, --allow and limits read again
 *   USR1      ─▶ counters
 *   output failed for good ─▶ stop at once, exit 1
 *
 *   --http    ─▶ four times a second: how things stand, for watch/
 *
 * Whatever has to be known of all stations is asked in rounds: each answers the number of the last
 * question, and what was wanted is done once all have. A station that hangs answers nothing, and the
 * watchdog is not told.
 */
#include "service.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/notify.h"
#include "station.h"
#include "watch/http.h"
#include "watch/publisher.h"

enum {
	PROGRESS_MS = 10000,
	PUBLISH_MS = 250, /* what it costs does not show beside an idle loop */
	SPARE_FILES = 64, /* descriptors beside those of connections, of each worker */
	SPARE_SECS = 5,	  /* that the end may take beyond --drain-timeout */
	STATUS_ROOM = 512,
};

enum stage {
	OPENING,   /* the outputs */
	BEGINNING, /* the stations have been told to listen, or to read */
	RUNNING,
	ENDING,
};

/* What is to be done once all stations have answered. */
enum wanted {
	WANT_COUNTERS = 1,
	WANT_PROGRESS = 2,
	WANT_RELOADED = 4,
	WANT_WATCHDOG = 8,
	WANT_PUBLISHED = 16,
};

struct service {
	const struct config *first; /* whose outputs are open */
	const struct config *config;
	int argc;
	char **argv;
	struct seen *seen;
	struct sockets sockets;
	struct reading reading;
	struct summing *summing; /* --aggregate */
	struct station_plan plan;
	struct station *station[WORKERS_MOST];
	struct station_news news[WORKERS_MOST];
	unsigned stations; /* made */
	uv_async_t news_async;
	enum stage stage;
	bool aborted;
	unsigned stop_signals;
	unsigned hups;
	unsigned question; /* the last */
	unsigned wanted;
	bool reloaded; /* WANT_RELOADED: the new configuration is in force */
	int status;
	uv_signal_t signals[4];
	size_t watched; /* of them */
	uv_timer_t progress_timer;
	struct notify notify;
	uv_timer_t watchdog_timer;
	struct publisher *publisher; /* NULL without --http, or not yet */
	uv_timer_t publish_timer;
	unsigned inherited; /* listening sockets that came with the process */
};

static uv_loop_t *loop_of(struct service *s)
{
	return station_loop(s->station[0]);
}

static bool is_listening(const struct service *s)
{
	return s->stage != OPENING && !s->first->read && s->sockets.count > 0;
}

/* ---- all stations ---------------------------------------------------------------------------- */

static void begin_all(struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		station_begin(s->station[i]);
}

static void end_all(struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		station_end(s->station[i]);
}

static void abort_all(struct service *s)
{
	s->aborted = true;
	for (unsigned i = 0; i < s->stations; i++)
		station_abort(s->station[i]);
}

static void fail(struct service *s)
{
	s->status = 1;
	abort_all(s);
}

static void ask_all(struct service *s, unsigned wanted)
{
	s->wanted |= wanted;
	s->question++;
	for (unsigned i = 0; i < s->stations; i++)
		station_ask(s->station[i], s->question);
}

/* Whether all have answered that have not ended. */
static bool is_answered(const struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		if (!s->news[i].over && s->news[i].answered != s->question)
			return false;
	return true;
}

/* What they counted together, as of their answers; the number of files that were read. */
static size_t add_up(const struct service *s, struct counts *sum)
{
	size_t files = 0;
	*sum = (struct counts){ .stats = { 0 } };
	for (unsigned i = 0; i < s->stations; i++) {
		counts_add(sum, &s->news[i].counts);
		files += s->news[i].files;
	}
	return files;
}

/* ---- the service manager ----------------------------------------------------------------------- */

/* From the main loop, and only if every other loop has turned since the last time. */
static void on_watchdog_timer(uv_timer_t *timer)
{
	struct service *s = timer->data;
	bool turned = is_answered(s);
	if (turned)
		notify_tell(&s->notify, "WATCHDOG=1");
	ask_all(s, turned ? 0 : WANT_WATCHDOG);
}

static void tell_ready(const struct service *s, const char *more)
{
	char addresses[STATUS_ROOM] = "";
	bool listening = is_listening(s);
	FILE *out = listening ? fmemopen(addresses, sizeof(addresses), "w") : NULL;
	if (out != NULL) {
		sockets_print(&s->sockets, out);
		(void)fclose(out);
	}
	for (char *end = addresses; (end = strchr(end, '\n')) != NULL;)
		*end = end[1] == '\0' ? '\0' : ' ';
	notify_tell(&s->notify, "READY=1\nSTATUS=%s %s%s", listening ? "listening on" : "reading",
		    addresses, more);
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

/* ---- what is to be seen over HTTP --------------------------------------------------------------- */

/* One round at a time: who is busy longer than that is not asked again before it has answered. */
static void on_publish_timer(uv_timer_t *timer)
{
	struct service *s = timer->data;
	if (is_answered(s))
		ask_all(s, WANT_PUBLISHED);
	else
		s->wanted |= WANT_PUBLISHED;
}

static void publish(struct service *s)
{
	struct counts sum;
	(void)add_up(s, &sum);
	static const enum published_stage stages[] = {
		[OPENING] = PUBLISHED_STARTING,
		[BEGINNING] = PUBLISHED_STARTING,
		[RUNNING] = PUBLISHED_RUNNING,
		[ENDING] = PUBLISHED_DRAINING,
	};
	publisher_put(s->publisher, &sum, s->config, stages[s->stage]);
}

/* Beside the listeners; 0, or a negative errno after the reason was logged. */
static int begin_publishing(struct service *s)
{
	if (s->first->http.text == NULL)
		return 0;
	int error = publisher_open(&s->publisher, s->first, s->plan.watches);
	if (error == 0)
		uv_timer_start(&s->publish_timer, on_publish_timer, 0, PUBLISH_MS);
	return error;
}

/* ---- signals --------------------------------------------------------------------------------- */

static void begin_end(struct service *s)
{
	s->stage = ENDING;
	tell_stopping(s);
	end_all(s);
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
	struct service *s = signal->data;
	const char *name = number == SIGINT ? "INT" : "TERM";
	if (s->stop_signals++ > 0) {
		log_warn("main", "stopping at once signal=%s", name);
		fail(s);
	} else if (s->stage == OPENING) {
		log_warn("main", "stopped before the outputs were up signal=%s", name);
		fail(s);
	} else if (s->first->read) {
		log_warn("main", "interrupted, %s signal=%s",
			 s->summing == NULL ? "the rest is not read"
					    : "sums are not written, or not all of them",
			 name);
		s->status = 1;
		begin_end(s);
	} else {
		log_info("main", "draining signal=%s", name);
		begin_end(s);
	}
}

static bool text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool fields_equal(const struct format *a, const struct format *b)
{
	return a == NULL || b == NULL ? a == b : format_equal(a, b);
}

static bool http_equal(const struct listen_address *a, const struct listen_address *b)
{
	return (a->text == NULL) == (b->text == NULL) && a->port == b->port &&
	       strcmp(a->host, b->host) == 0;
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
		       !text_equal(a->ready_file, b->ready_file) || a->workers != b->workers ||
		       !http_equal(&a->http, &b->http) ||
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
	rlim_t wanted = config->limits.connections + (rlim_t)SPARE_FILES * config->workers +
			(config->http.text == NULL ? 0 : HTTP_CONNECTIONS);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warn("main",
			 "fewer files may be open than --max-connections asks for limit=%llu",
			 (unsigned long long)limit.rlim_cur);
}

/* The new configuration, NULL when it is wrong; in force from here on. */
static const struct config *reload(struct service *s)
{
	struct config *config;
	if (!config_load(&config, s->argc, s->argv)) {
		log_error("main", "the new configuration is not used, the old one stays in force");
		return NULL;
	}
	if (needs_restart(s->first, config))
		log_warn(
			"main",
			"other listeners, --http, outputs, columns, workers, duplicates' memory or another "
			"spool take effect at a restart");
	raise_file_limit(config);
	tokens_succeed(&config->tokens, &s->config->tokens);
	log_set_level(config->log_level);
	config_release(s->config);
	s->config = config;
	return config;
}

static void on_hup(uv_signal_t *signal, int number)
{
	struct service *s = signal->data;
	(void)number;
	if (s->stage == RUNNING)
		tell_reloading(s);
	const struct config *config = is_listening(s) ? reload(s) : NULL;
	s->reloaded = config != NULL;
	s->hups++;
	for (unsigned i = 0; i < s->stations; i++)
		station_renew(s->station[i], s->hups, config);
	ask_all(s, WANT_RELOADED);
}

/* The new configuration is in force everywhere. */
static void on_reloaded(struct service *s)
{
	bool good = s->reloaded || s->first->read;
	if (s->reloaded)
		log_info("main", "configuration read again");
	if (s->stage == RUNNING)
		tell_ready(s, good ? "" : "; the new configuration is wrong, the old one is used");
}

static void on_usr1(uv_signal_t *signal, int number)
{
	(void)number;
	ask_all(signal->data, WANT_COUNTERS);
}

static void on_progress_timer(uv_timer_t *timer)
{
	ask_all(timer->data, WANT_PROGRESS);
}

static void log_progress(const struct service *s, const char *when)
{
	struct counts sum;
	size_t files = add_up(s, &sum);
	const struct stats *stats = &sum.stats;
	log_info("read",
		 "%s files=%zu of=%zu octets=%" PRIu64 " events=%" PRIu64 " flows=%" PRIu64
		 " nodata=%" PRIu64 " skipdata=%" PRIu64 " rejected=%" PRIu64 " filtered=%" PRIu64
		 " payloads_rejected=%" PRIu64,
		 when, files, s->reading.files, stats->bytes_received, stats->events, stats->flows,
		 stats->nodata, stats->skipdata, stats->rejected, stats->filtered,
		 stats->payloads_rejected);
}

static void print_counters(const struct service *s)
{
	struct counts sum;
	(void)add_up(s, &sum);
	counts_print(&sum, s->first, stderr);
	(void)fflush(stderr);
}

static void do_wanted(struct service *s)
{
	unsigned wanted = s->wanted;
	s->wanted = 0;
	if (wanted & WANT_RELOADED)
		on_reloaded(s);
	if (wanted & WANT_COUNTERS)
		print_counters(s);
	if (wanted & WANT_PROGRESS)
		log_progress(s, "so far");
	if (wanted & WANT_WATCHDOG)
		notify_tell(&s->notify, "WATCHDOG=1");
	if (wanted & WANT_PUBLISHED)
		publish(s);
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
		error = uv_signal_init(loop_of(s), handle);
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
	const char *path = s->first->ready_file;
	char beside[4096];
	int len = snprintf(beside, sizeof(beside), "%s.new", path);
	FILE *file = (size_t)len < sizeof(beside) ? fopen(beside, "we") : NULL;
	bool ok = file != NULL;
	if (ok) {
		sockets_print(&s->sockets, file);
		if (s->publisher != NULL)
			fprintf(file, "http %s\n", publisher_address(s->publisher));
		ok = !ferror(file);
		ok = fclose(file) == 0 && ok && rename(beside, path) == 0;
	}
	if (!ok)
		log_error("main", "cannot write option=\"--ready-file %s\" error=\"%s\"", path,
			  strerror(errno));
	return ok;
}

/* What an earlier run has left says nothing of this one. */
static void remove_ready_file(const struct config *config)
{
	const char *path = config->read ? NULL : config->ready_file;
	if (path != NULL && unlink(path) != 0 && errno != ENOENT)
		log_warn("main", "cannot remove option=\"--ready-file %s\" error=\"%s\"", path,
			 strerror(errno));
}

/* Nobody is listened to before there is somewhere to put what they send. */
static void on_all_up(struct service *s)
{
	s->stage = BEGINNING;
	if (s->first->read)
		uv_timer_start(&s->progress_timer, on_progress_timer, PROGRESS_MS, PROGRESS_MS);
	else if (sockets_open(&s->sockets, s->config, s->stations, s->inherited) != 0 ||
		 begin_publishing(s) != 0) {
		fail(s);
		return;
	}
	begin_all(s);
}

static void on_all_begun(struct service *s)
{
	s->stage = RUNNING;
	if (s->first->read || s->config->ready_file == NULL || write_ready_file(s))
		tell_ready(s, "");
	else
		fail(s);
}

static bool all_up(const struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		if (!s->news[i].up)
			return false;
	return true;
}

static bool all_begun(const struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		if (!s->news[i].begun)
			return false;
	return true;
}

static bool any_failed(const struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		if (s->news[i].failed)
			return true;
	return false;
}

static bool all_over(const struct service *s)
{
	for (unsigned i = 0; i < s->stations; i++)
		if (!s->news[i].over)
			return false;
	return true;
}

/* Something has changed at some station, or several. */
static void on_news(uv_async_t *async)
{
	struct service *s = async->data;
	for (unsigned i = 0; i < s->stations; i++)
		station_look(s->station[i], &s->news[i]);
	if (any_failed(s) && !s->aborted)
		fail(s);
	if (s->stage == OPENING && !s->aborted && all_up(s))
		on_all_up(s);
	if (s->stage == BEGINNING && !s->aborted && all_begun(s))
		on_all_begun(s);
	if (s->wanted != 0 && is_answered(s))
		do_wanted(s);
	if (all_over(s))
		uv_stop(async->loop);
}

/* From any thread. */
static void send_news(void *data)
{
	struct service *s = data;
	uv_async_send(&s->news_async);
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
	s->plan.seen = s->seen;
	if (s->seen != NULL && digest_of(SLICE_NONE, &digest))
		return true;
	log_error("main", "%s", s->seen == NULL ? "out of memory" : "no SHA-256 from OpenSSL");
	return false;
}

/* Before the workers, who fill it from their first flow on. */
static bool prepare_watching(struct service *s)
{
	if (s->first->read || s->first->http.text == NULL)
		return true;
	return watches_new(&s->plan.watches, s->plan.stations) == 0;
}

/* More workers than files would have nothing to do. */
static void make_plan(struct service *s)
{
	const struct config *c = s->config;
	bool few = c->read && c->files < c->workers;
	s->reading.file = c->file;
	s->reading.files = c->files;
	atomic_init(&s->reading.next, 0);
	s->plan = (struct station_plan){
		.config = s->first,
		.stations = few ? (unsigned)c->files : c->workers,
		.sockets = &s->sockets,
		.reading = &s->reading,
		.on_news = send_news,
		.data = s,
	};
}

/* Number 0, and on its loop what is the process's. */
static bool make_first(struct service *s)
{
	if (!station_new(&s->station[0], &s->plan, 0))
		return false;
	s->stations = 1;
	int error = uv_async_init(loop_of(s), &s->news_async, on_news);
	if (error != 0) {
		log_error("main", "no news error=\"%s\"", error_text(error));
		station_close(&s->station[0], &s->news[0]);
		return false;
	}
	s->news_async.data = s;
	uv_timer_init(loop_of(s), &s->progress_timer);
	uv_timer_init(loop_of(s), &s->watchdog_timer);
	s->progress_timer.data = s;
	s->watchdog_timer.data = s;
	uv_timer_init(loop_of(s), &s->publish_timer);
	s->publish_timer.data = s;
	if (s->notify.watchdog_ms > 0)
		uv_timer_start(&s->watchdog_timer, on_watchdog_timer, 0, s->notify.watchdog_ms);
	return true;
}

/* The exit status if it has failed already, else 0. */
static int open_all(struct service *s)
{
	int failed = 0;
	for (unsigned i = 0; i < s->plan.stations && failed == 0; i++) {
		if (i > 0 && !station_new(&s->station[i], &s->plan, i))
			return 1;
		s->stations = i + 1;
		failed = station_open(s->station[i], s->station[0]);
	}
	for (unsigned i = 1; i < s->stations && failed == 0; i++)
		failed = station_start(s->station[i]) == 0 ? 0 : 1;
	return failed;
}

static bool prepare_summing(struct service *s)
{
	const struct config *c = s->first;
	if (c->sums.format == NULL)
		return true;
	s->summing = summing_new(&c->sums, &c->sources.standard, c->limits.aggregate_memory,
				 s->plan.stations);
	s->plan.summing = s->summing;
	if (s->summing == NULL)
		log_error("main", "out of memory, or no random numbers from the kernel");
	return s->summing != NULL;
}

static int begin(struct service *s)
{
	return watch_signals(s) && prepare_taking(s) && prepare_summing(s) ? open_all(s) : 1;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void log_left_out(const struct service *s)
{
	struct counts sum;
	(void)add_up(s, &sum);
	for (size_t i = 0; i < s->first->outputs; i++)
		if (sum.output[i].no_address > 0)
			log_warn("output",
				 "records without both addresses have no place in this format, "
				 "csv and json take them output=%s records=%llu",
				 s->first->output[i].name,
				 (unsigned long long)sum.output[i].no_address);
}

/* Number 0 last: what is the process's is on its loop. */
static int finish(struct service *s)
{
	publisher_close(&s->publisher);
	while (s->stations > 1) {
		unsigned i = --s->stations;
		station_close(&s->station[i], &s->news[i]);
	}
	for (size_t i = 0; i < s->watched; i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	/* Their standard action would end it with flows that are not written. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGUSR1, SIG_IGN);
	uv_close((uv_handle_t *)&s->news_async, NULL);
	uv_close((uv_handle_t *)&s->progress_timer, NULL);
	uv_close((uv_handle_t *)&s->watchdog_timer, NULL);
	uv_close((uv_handle_t *)&s->publish_timer, NULL);
	station_close(&s->station[0], &s->news[0]);
	sockets_close(&s->sockets);
	seen_free(&s->seen);
	summing_free(&s->summing);
	s->stations = s->plan.stations;
	for (unsigned i = 0; i < s->stations; i++)
		if (s->news[i].status != 0)
			s->status = 1;
	log_left_out(s);
	if (s->first->read && s->stage != OPENING)
		log_progress(s, "done");
	return s->status;
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
	remove_ready_file(config);
	make_plan(s);
	bool taken = config->read || inherited_take(&s->inherited);
	if (taken && prepare_watching(s) && make_first(s)) {
		int failed = begin(s);
		if (failed != 0) {
			s->status = failed;
			abort_all(s);
		} else {
			uv_run(loop_of(s), UV_RUN_DEFAULT);
		}
		status = finish(s);
	}
	watches_free(&s->plan.watches);
	notify_deinit(&s->notify);
	config_release(s->config);
	config_release(s->first);
	free(s);
	return status;
}
