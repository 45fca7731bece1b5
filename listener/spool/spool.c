/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is where: which payloads of the segments the outputs have got, which they have delivered, and
 * the replay of those that they have not got. Files are store.c's and segment.c's; frames are read in
 * libuv's thread pool, some ahead of their conversion.
 *
 * Entries stand in the order of the segments, in queues:
 *
 *   pending  not on disk yet
 *   passed   before `read`: with the outputs, which may still have to deliver
 *   ahead    at or after `read`: stored, and got by the outputs in whole or in part when they came.
 *            Frames without an entry lie between them, if any do: nothing of those was converted.
 */
#include "spool/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"

enum {
	READ_AHEAD = 256 * 1024, /* octets of frames read at a time, or one frame */
	TRY_AGAIN_MS = 1000,
	LONGEST = 1 << 30,  /* payload that was taken, whatever --max-payload was then */
	SEGMENTS_LEAST = 8, /* that a full spool has */
};

struct spool_entry {
	TAILQ_ENTRY(spool_entry) link;
	struct spool *spool;
	struct append append;
	struct place from; /* the end of the frame before */
	struct place end;
	uint64_t events; /* got by the outputs: the first so many */
	struct delivery delivery;
	bool delivered;
	void (*done)(void *data, int error);
	void *data;
};

TAILQ_HEAD(entries, spool_entry);

/* A frame that was read, in the order of reading. */
struct fetched {
	STAILQ_ENTRY(fetched) link;
	struct spooled frame;
	struct damage damage; /* before it; a frame without data stands for damage alone */
};

STAILQ_HEAD(fetches, fetched);

struct spool {
	struct worker *worker;
	struct store *store;
	struct seen *seen;
	struct place read;
	struct place stored;
	struct place delivered;
	uint64_t counted;	/* octets, in the worker's counter */
	unsigned owed;		/* will be stored, and then have to be replayed */
	struct entries pending; /* on their way to disk */
	struct entries ahead;
	struct entries passed;
	unsigned pauses;
	bool stopped;
	bool closed;

	/* replay */
	struct turn turn;
	struct fetches fetched;
	struct fetched *current;
	struct spool_entry *entry; /* of the current frame */
	struct intake *intake;
	struct slice rest; /* of the current frame, not used yet */
	const struct config *config;

	/* reading: the thread pool's while `reading` */
	uv_work_t work;
	uv_timer_t again;
	bool reading;
	struct segment_reader reader;
	struct place until;
	struct fetches batch;
	int read_error;
	bool told_error;
};

static void advance(struct spool *s);
static void fetch(struct spool *s);

/* ---- what is delivered ----------------------------------------------------------------------- */

static void free_entry(struct spool *s, struct spool_entry *e)
{
	worker_forget(s->worker, &e->delivery);
	free(e);
}

static void count_octets(struct spool *s)
{
	uint64_t octets = store_octets(s->store);
	s->worker->stats.spool_bytes += octets - s->counted;
	s->counted = octets;
}

static void on_octets(void *data)
{
	count_octets(data);
}

static void note_delivered(struct spool *s)
{
	struct spool_entry *e = TAILQ_FIRST(&s->passed);
	struct place before = s->delivered;
	while (e != NULL && e->delivered) {
		struct spool_entry *next = TAILQ_NEXT(e, link);
		s->delivered = e->end;
		TAILQ_REMOVE(&s->passed, e, link);
		free_entry(s, e);
		e = next;
	}
	if (e == NULL)
		s->delivered = s->read;
	count_octets(s);
	if (place_compare(before, s->delivered) != 0)
		store_delivered(s->store, s->delivered);
}

static void on_delivered(struct delivery *delivery)
{
	struct spool_entry *e = CONTAINER_OF(delivery, struct spool_entry, delivery);
	e->delivered = true;
	note_delivered(e->spool);
}

static struct spool_entry *entry_new(struct spool *s)
{
	struct spool_entry *e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->spool = s;
	e->delivery.done = on_delivered;
	return e;
}

static bool same_marks(const struct delivery *a, const struct delivery *b)
{
	for (size_t i = 0; i < OUTPUT_LIMIT; i++)
		if (a->mark[i] != b->mark[i])
			return false;
	return true;
}

/*
 * The outputs have got all of its flows. One that adds none to those before goes with them; it may be
 * gone after this.
 */
static void pass(struct spool *s, struct spool_entry *e)
{
	struct spool_entry *before = TAILQ_LAST(&s->passed, entries);
	s->read = e->end;
	if (before != NULL && same_marks(&before->delivery, &e->delivery)) {
		before->end = e->end;
		free_entry(s, e);
	} else {
		TAILQ_INSERT_TAIL(&s->passed, e, link);
	}
	note_delivered(s);
}

/* Where frames were lost to damage, entries of theirs may be left. */
static void pass_before(struct spool *s, struct place at)
{
	struct spool_entry *e = TAILQ_FIRST(&s->ahead);
	while (e != NULL && place_compare(e->end, at) <= 0) {
		struct spool_entry *next = TAILQ_NEXT(e, link);
		TAILQ_REMOVE(&s->ahead, e, link);
		if (e->events != SPOOL_EVENTS_ALL)
			worker_deliver(s->worker, &e->delivery);
		pass(s, e);
		e = next;
	}
}

/* Goes over what needs no replay. */
static void pass_whole(struct spool *s)
{
	struct spool_entry *e = TAILQ_FIRST(&s->ahead);
	while (e != NULL && e->events == SPOOL_EVENTS_ALL && place_compare(e->from, s->read) <= 0) {
		struct spool_entry *next = TAILQ_NEXT(e, link);
		TAILQ_REMOVE(&s->ahead, e, link);
		pass(s, e);
		e = next;
	}
}

static void skip_to(struct spool *s, struct place to)
{
	pass_before(s, to);
	if (place_compare(s->read, to) < 0)
		s->read = to;
	pass_whole(s);
	note_delivered(s);
}

/* Sees to it that what needs a replay gets one. */
static void advance(struct spool *s)
{
	bool at_hand = s->reading || s->current != NULL || !STAILQ_EMPTY(&s->fetched);
	pass_whole(s);
	/* Up to where reading has come, then, nothing is left to do. */
	if (!at_hand && place_compare(s->read, s->reader.at) < 0)
		skip_to(s, s->reader.at);
	fetch(s);
}

/* ---- what comes in --------------------------------------------------------------------------- */

bool spool_behind(const struct spool *s)
{
	return s->owed > 0 || place_compare(s->read, s->stored) != 0;
}

void spool_owe(struct spool *s)
{
	s->owed++;
}

void spool_owe_less(struct spool *s)
{
	s->owed--;
}

static void end_put(struct spool_entry *e, int error)
{
	void (*done)(void *data, int error) = e->done;
	void *data = e->data;
	struct spool *s = e->spool;
	TAILQ_REMOVE(&s->pending, e, link);
	if (e->events != SPOOL_EVENTS_ALL)
		spool_owe_less(s);
	count_octets(s);
	/* One that the outputs have nothing of needs no entry: a backlog costs no memory. */
	if (error != 0 || e->events == 0)
		free_entry(s, e);
	else
		TAILQ_INSERT_TAIL(&s->ahead, e, link);
	if (error == 0)
		advance(s);
	done(data, error);
}

static void on_stored(struct append *a)
{
	struct spool_entry *e = CONTAINER_OF(a, struct spool_entry, append);
	struct spool *s = e->spool;
	if (a->error == 0) {
		e->from = s->stored;
		e->end = a->end;
		s->stored = a->end;
		s->worker->stats.spooled++;
	}
	end_put(e, a->error);
}

/* What this worker may have of --spool-max. */
static uint64_t most_octets(const struct worker *w)
{
	return worker_share(w, w->config->limits.spool_max);
}

static bool has_room(const struct spool *s, size_t octets, uint64_t held)
{
	uint64_t most = most_octets(s->worker);
	return held < most && octets + SEGMENT_HEADER <= most - held;
}

/* What there is on disk may all be delivered: then it has to go, and stands in nobody's way. */
static bool may_have_room(const struct spool *s, size_t octets)
{
	return place_compare(s->delivered, s->stored) == 0 && has_room(s, octets, 0);
}

bool spool_put(struct spool *s, const struct seen_payload *payload, struct slice octets,
	       uint64_t events, void (*done)(void *data, int error), void *data)
{
	struct spool_entry *e = entry_new(s);
	if (e == NULL) {
		if (events != SPOOL_EVENTS_ALL)
			spool_owe_less(s);
		return false;
	}
	e->events = events;
	e->done = done;
	e->data = data;
	e->append = (struct append){ .payload = *payload, .octets = octets, .done = on_stored };
	TAILQ_INSERT_TAIL(&s->pending, e, link);
	if (events == SPOOL_EVENTS_ALL)
		worker_deliver(s->worker, &e->delivery);
	bool room = has_room(s, octets.len, store_octets(s->store));
	if (!room)
		e->append.most = most_octets(s->worker);
	if (room || may_have_room(s, octets.len))
		store_append(s->store, &e->append);
	else
		store_refuse(s->store, &e->append, -EDQUOT);
	return true;
}

void spool_remember(struct spool *s, const struct seen_payload *payload)
{
	store_remember(s->store, payload);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void free_fetched(struct fetched **f)
{
	if (*f == NULL)
		return;
	spooled_deinit(&(*f)->frame);
	free(*f);
	*f = NULL;
}

static void free_fetches(struct fetches *all)
{
	struct fetched *f;
	while ((f = STAILQ_FIRST(all)) != NULL) {
		STAILQ_REMOVE_HEAD(all, link);
		free_fetched(&f);
	}
}

/* One frame, or damage at the end of a segment. False: there is nothing more, or it failed. */
static bool read_one(struct spool *s, size_t *octets)
{
	struct fetched *f = calloc(1, sizeof(*f));
	if (f == NULL) {
		s->read_error = -ENOMEM;
		return false;
	}
	enum step step = segment_next(&s->reader, s->until, &f->frame);
	f->damage = s->reader.damage;
	s->read_error = step == STEP_BAD ? s->reader.error : 0;
	if (step == STEP_BAD || (step == STEP_MORE && f->damage.octets == 0)) {
		free_fetched(&f);
		return false;
	}
	if (step == STEP_MORE)
		f->frame.end = s->reader.at;
	*octets += f->frame.len;
	STAILQ_INSERT_TAIL(&s->batch, f, link);
	return true;
}

static void on_read(uv_work_t *work)
{
	struct spool *s = work->data;
	size_t octets = 0;
	while (octets < READ_AHEAD && read_one(s, &octets))
		;
}

static void on_again(uv_timer_t *timer)
{
	struct spool *s = timer->data;
	if (!STAILQ_EMPTY(&s->fetched))
		worker_schedule(s->worker, &s->turn);
	advance(s);
}

static void tell_read_error(struct spool *s)
{
	if (!s->told_error)
		log_error("spool", "cannot read back, trying again error=\"%s\"",
			  error_text(s->read_error));
	s->told_error = true;
	uv_timer_start(&s->again, on_again, TRY_AGAIN_MS, 0);
}

static void on_read_done(uv_work_t *work, int status)
{
	struct spool *s = work->data;
	(void)status;
	s->reading = false;
	if (s->closed)
		return;
	STAILQ_CONCAT(&s->fetched, &s->batch);
	if (s->read_error != 0)
		tell_read_error(s);
	else
		s->told_error = false;
	/* Of ours somebody took away what should be there. */
	if (s->read_error == 0 && STAILQ_EMPTY(&s->fetched) && s->current == NULL)
		skip_to(s, s->until);
	if (!STAILQ_EMPTY(&s->fetched))
		worker_schedule(s->worker, &s->turn);
	else if (s->read_error == 0)
		advance(s);
}

/* Where reading has to stop; what failed at the end of a segment is passed over. */
static struct place find_until(struct spool *s)
{
	struct place cut = store_cut(s->store, s->reader.at);
	while (place_compare(cut, s->reader.at) == 0) {
		segment_go_to(&s->reader, (struct place){ cut.segment + 1, 0 });
		cut = store_cut(s->store, s->reader.at);
	}
	return place_compare(cut, s->stored) < 0 ? cut : s->stored;
}

/* Reads on when little is at hand, and something is there to be read. */
static void fetch(struct spool *s)
{
	bool enough = !STAILQ_EMPTY(&s->fetched) &&
		      STAILQ_NEXT(STAILQ_FIRST(&s->fetched), link) != NULL;
	if (s->reading || s->stopped || enough || uv_is_active((uv_handle_t *)&s->again))
		return;
	/* What entries ahead have passed over since is not read. */
	if (STAILQ_EMPTY(&s->fetched) && s->current == NULL &&
	    place_compare(s->reader.at, s->read) < 0)
		segment_go_to(&s->reader, s->read);
	if (place_compare(s->reader.at, s->stored) >= 0)
		return;
	s->until = find_until(s);
	s->reading = uv_queue_work(&s->worker->loop, &s->work, on_read, on_read_done) == 0;
}

/* ---- replay ---------------------------------------------------------------------------------- */

static void keep(struct spool *s, struct place at)
{
	store_keep(s->store, at.segment);
}

static void tell_damage(struct spool *s, const struct damage *d)
{
	if (d->torn) {
		log_warn("spool",
			 "a payload that was not acknowledged is cut off at the end of a segment "
			 "segment=%016llx offset=%llu octets=%llu",
			 (unsigned long long)d->at.segment, (unsigned long long)d->at.offset,
			 (unsigned long long)d->octets);
		return;
	}
	s->worker->stats.spool_damaged++;
	keep(s, d->at);
	log_error("spool",
		  "damaged, what is intact goes on; the segment is kept as .kept segment=%016llx "
		  "offset=%llu octets=%llu",
		  (unsigned long long)d->at.segment, (unsigned long long)d->at.offset,
		  (unsigned long long)d->octets);
}

/* The frame at hand does not give the flows that were acknowledged: its segment stays. */
static void keep_current(struct spool *s, char name[DIGEST_TEXT + 1])
{
	digest_text(&s->current->frame.digest, name);
	s->worker->stats.spool_unconverted++;
	keep(s, s->current->frame.at);
}

static void tell_unconverted(struct spool *s, const struct fault *fault)
{
	char name[DIGEST_TEXT + 1];
	keep_current(s, name);
	log_error("spool",
		  "an acknowledged payload can no longer be converted: %s; the segment is kept as "
		  ".kept segment=%016llx payload=%s",
		  fault_text(fault->code), (unsigned long long)s->current->frame.at.segment, name);
}

/* As after a restart with another format for one of its log groups. */
static void tell_fewer(struct spool *s, uint64_t flows, uint64_t before)
{
	char name[DIGEST_TEXT + 1];
	keep_current(s, name);
	log_error("spool",
		  "an acknowledged payload has fewer flows now; the segment is kept as .kept "
		  "segment=%016llx payload=%s flows=%llu before=%llu",
		  (unsigned long long)s->current->frame.at.segment, name, (unsigned long long)flows,
		  (unsigned long long)before);
}

/* The entry of a frame that the outputs have part of; a new one for one that they have nothing of. */
static struct spool_entry *entry_of(struct spool *s, const struct spooled *frame)
{
	struct spool_entry *e = TAILQ_FIRST(&s->ahead);
	if (e != NULL && place_compare(e->end, frame->end) == 0) {
		TAILQ_REMOVE(&s->ahead, e, link);
		return e;
	}
	e = entry_new(s);
	if (e != NULL)
		e->end = frame->end;
	return e;
}

static void drop_current(struct spool *s)
{
	free_fetched(&s->current);
	intake_free(&s->intake);
	config_release(s->config);
	s->config = NULL;
	s->entry = NULL;
}

/* Its flows are with the outputs; damaged: they are not, as it cannot be converted. */
static void end_frame(struct spool *s, bool damaged)
{
	struct spool_entry *e = s->entry;
	struct seen_payload payload = {
		.digest = s->current->frame.digest,
		.seconds = (int64_t)time(NULL),
		.flows = intake_flows(s->intake),
	};
	struct seen_payload known;
	/* It is known already, unless the machine went down between its fdatasync and that of seen. */
	if (!seen_find(s->seen, &payload.digest, payload.seconds, &known)) {
		(void)seen_add(s->seen, &payload, payload.seconds);
		spool_remember(s, &payload);
	} else if (!damaged && payload.flows < known.flows) {
		tell_fewer(s, payload.flows, known.flows);
	}
	s->worker->stats.spool_replayed++;
	drop_current(s);
	worker_deliver(s->worker, &e->delivery);
	pass(s, e);
	advance(s);
}

/* Without memory: what is at hand is begun anew later, behind what the outputs have of it. */
static void put_off(struct spool *s)
{
	if (s->entry != NULL && s->intake != NULL)
		s->entry->events = intake_emitted(s->intake);
	if (s->entry != NULL)
		TAILQ_INSERT_HEAD(&s->ahead, s->entry, link);
	STAILQ_INSERT_HEAD(&s->fetched, s->current, link);
	s->current = NULL;
	drop_current(s);
	uv_timer_start(&s->again, on_again, TRY_AGAIN_MS, 0);
}

/* The next frame that was read and has to be converted; NULL for none. */
static struct fetched *next_frame(struct spool *s)
{
	struct fetched *f;
	while (!s->stopped && s->pauses == 0 && (f = STAILQ_FIRST(&s->fetched)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->fetched, link);
		if (f->damage.octets > 0)
			tell_damage(s, &f->damage);
		f->damage.octets = 0;
		skip_to(s, f->frame.data == NULL ? f->frame.end : f->frame.at);
		if (place_compare(f->frame.end, s->read) > 0)
			return f;
		free_fetched(&f);
	}
	return NULL;
}

/* Takes up the next frame. False: there is none, or no memory for it. */
static bool begin_frame(struct spool *s)
{
	s->current = next_frame(s);
	if (s->current == NULL) {
		advance(s);
		return false;
	}
	const struct spooled *frame = &s->current->frame;
	s->rest = slice_of(frame->data, frame->len);
	s->config = config_reference(s->worker->config);
	s->entry = entry_of(s, frame);
	s->intake = s->entry == NULL ? NULL
				     : intake_new(&s->worker->pipeline, PAYLOAD_WHOLE, "spool");
	if (s->intake == NULL) {
		put_off(s);
		return false;
	}
	intake_replay(s->intake, s->entry->events);
	fetch(s);
	return true;
}

static enum turn_result on_turn(struct turn *turn)
{
	struct spool *s = CONTAINER_OF(turn, struct spool, turn);
	struct fault fault;
	if (s->current == NULL && !begin_frame(s))
		return TURN_DONE;
	enum step step = intake_run(s->intake, &s->rest, true, &fault);
	if (step == STEP_OK)
		return TURN_YIELD;
	if (step == STEP_BAD && fault.code == FAULT_MEMORY) {
		put_off(s);
		return TURN_DONE;
	}
	if (step == STEP_BAD)
		tell_unconverted(s, &fault);
	end_frame(s, step == STEP_BAD);
	return STAILQ_EMPTY(&s->fetched) ? TURN_DONE : TURN_YIELD;
}

void spool_pause(struct spool *s)
{
	s->pauses++;
}

void spool_go_on(struct spool *s)
{
	s->pauses--;
	if (!s->closed && !STAILQ_EMPTY(&s->fetched))
		worker_schedule(s->worker, &s->turn);
}

void spool_stop(struct spool *s)
{
	s->stopped = true;
	uv_timer_stop(&s->again);
}

bool spool_is_between(const struct spool *s)
{
	return s->current == NULL;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

/* A segment goes as a whole: what is left of one that is delivered in part must not fill the spool. */
static uint64_t segment_size(const struct worker *w)
{
	uint64_t most = most_octets(w) / SEGMENTS_LEAST;
	return w->config->limits.spool_segment < most ? w->config->limits.spool_segment : most;
}

int spool_open(struct spool **s, struct worker *w, const char *path, struct seen *seen)
{
	struct spool *new = calloc(1, sizeof(*new));
	struct store_state state;
	if (new == NULL)
		return -ENOMEM;
	int error = store_open(&new->store, path, segment_size(w), &w->loop, seen, &state);
	if (error != 0) {
		free(new);
		return error;
	}
	new->worker = w;
	store_watch(new->store, on_octets, new);
	count_octets(new);
	new->seen = seen;
	new->read = state.delivered;
	new->delivered = state.delivered;
	new->stored = state.end;
	new->turn.work = on_turn;
	new->work.data = new;
	TAILQ_INIT(&new->pending);
	TAILQ_INIT(&new->ahead);
	TAILQ_INIT(&new->passed);
	STAILQ_INIT(&new->fetched);
	STAILQ_INIT(&new->batch);
	segment_reader_init(&new->reader, store_folder(new->store), new->read, LONGEST);
	uv_timer_init(&w->loop, &new->again);
	new->again.data = new;
	*s = new;
	return 0;
}

void spool_start(struct spool *s)
{
	uint64_t octets = store_octets(s->store);
	if (octets > 0)
		log_info("spool", "going on with what an earlier run left octets=%llu",
			 (unsigned long long)octets);
	advance(s);
}

void spool_close(struct spool *s)
{
	spool_stop(s);
	s->closed = true;
	worker_unschedule(s->worker, &s->turn);
	if (s->entry != NULL)
		free_entry(s, s->entry);
	drop_current(s);
	uv_close((uv_handle_t *)&s->again, NULL);
	/* What is pending will be known when it comes again, so it has to be there. */
	bool empty = place_compare(s->delivered, s->stored) == 0 && s->owed == 0 &&
		     TAILQ_EMPTY(&s->pending);
	store_close(s->store, empty);
}

static void free_entries(struct spool *s, struct entries *all)
{
	struct spool_entry *e;
	while ((e = TAILQ_FIRST(all)) != NULL) {
		TAILQ_REMOVE(all, e, link);
		free_entry(s, e);
	}
}

void spool_free(struct spool **s)
{
	struct spool *old = *s;
	if (old == NULL)
		return;
	*s = NULL;
	free_entries(old, &old->pending);
	free_entries(old, &old->ahead);
	free_entries(old, &old->passed);
	free_fetches(&old->fetched);
	free_fetches(&old->batch);
	segment_reader_deinit(&old->reader);
	store_free(&old->store);
	free(old);
}
