/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One payload: dedupe, conversion in turns, and then the disk or the outputs. Knows nothing of
 * connections and their answers; holds the octets as long as somebody needs them.
 */
#include "receive/take.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "receive/server.h"

enum take_state { TWIN, CONVERTING, STORING, RESUMING, DELIVERING, ENDING };

struct take {
	LIST_ENTRY(take) same; /* in the bucket of its digest */
	struct takes *all;
	const struct config *config;
	char peer[ADDRESS_TEXT];
	char id[FRAME_ID + 1];
	enum take_state state;
	struct claim claim; /* on its digest; a twin's is not held */
	unsigned tick;	    /* in which a twin was looked at last */
	struct buf body;
	struct hold hold;  /* of its octets */
	struct slice rest; /* of it, not used yet */
	struct turn turn;
	struct intake *intake; /* once conversion has begun */
	uint64_t flows;
	uint64_t emitted; /* STORING: events that the outputs have got */
	bool owed;	  /* to the outputs, by the spool or by itself: what comes later waits */
	bool told;	  /* the owner, that it is converted */
	struct delivery delivery;
	const struct take_owner *owner; /* NULL: gone */
	void *data;
};

static const struct verdict later_memory = {
	.kind = VERDICT_LATER,
	.why = "memory",
	.seconds = 5,
};

void takes_init(struct takes *all, struct server *server, struct seen *seen, struct spool *spool)
{
	*all = (struct takes){
		.server = server,
		.worker = server->worker,
		.seen = seen,
		.spool = spool,
	};
}

static struct take_bucket *bucket_of(struct takes *all, const struct digest *digest)
{
	return &all->bucket[digest->octets[0]];
}

/* Another take of the same octets; NULL for none. */
static struct take *find_same(struct takes *all, const struct digest *digest, bool twin)
{
	struct take *t;
	LIST_FOREACH(t, bucket_of(all, digest), same)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed is off the list. */
		if ((t->state == TWIN) == twin && digest_equal(&t->claim.digest, digest))
			return t;
	return NULL;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void release_body(struct take *t)
{
	buf_deinit(&t->body);
	worker_release(t->all->worker, &t->hold);
}

static void tell_converted(struct take *t)
{
	bool tell = t->owner != NULL && !t->told;
	t->told = true;
	if (tell)
		t->owner->converted(t->data);
}

static void owe(struct take *t)
{
	t->owed = true;
	spool_owe(t->all->spool);
}

/* Its flows are where they have to be, or never will be: others may go. */
static void owe_no_more(struct take *t)
{
	if (t->owed)
		spool_owe_less(t->all->spool);
	t->owed = false;
}

static void take_free(struct take *t)
{
	LIST_REMOVE(t, same);
	t->all->count--;
	seen_release(t->all->seen, &t->claim);
	worker_unschedule(t->all->worker, &t->turn);
	worker_forget(t->all->worker, &t->delivery);
	owe_no_more(t);
	intake_free(&t->intake);
	config_release(t->config);
	release_body(t);
	free(t);
}

static void end_take(struct take *t, const struct verdict *verdict)
{
	const struct take_owner *owner = t->owner;
	void *data = t->data;
	take_free(t);
	if (owner != NULL)
		owner->done(data, verdict);
}

static void start_converting(struct take *t)
{
	t->state = CONVERTING;
	worker_schedule(t->all->worker, &t->turn);
}

/* Ends all twins of a payload: what became of one holds for them. */
static void end_twins(struct takes *all, const struct digest *digest, const struct verdict *verdict)
{
	struct take *twin;
	while ((twin = find_same(all, digest, true)) != NULL) {
		twin->state = ENDING;
		tell_converted(twin);
		end_take(twin, verdict);
	}
}

/* A twin of nobody here takes its payload, unless another worker is at it, or it was taken. */
static enum claim_result claim(struct take *twin, struct seen_payload *seen)
{
	struct takes *all = twin->all;
	enum claim_result result = seen_claim(all->seen, &twin->claim, (int64_t)time(NULL), seen);
	if (result == CLAIM_HELD)
		start_converting(twin);
	all->others = all->others || result == CLAIM_OTHER;
	return result;
}

/* The same for one of a payload's twins, and what becomes of them all. */
static void try_twin(struct takes *all, const struct digest *digest)
{
	struct seen_payload seen;
	struct take *twin = find_same(all, digest, true);
	if (twin != NULL && find_same(all, digest, false) == NULL &&
	    claim(twin, &seen) == CLAIM_BEFORE)
		end_twins(all, digest,
			  &(struct verdict){ .kind = VERDICT_BEFORE, .flows = seen.flows });
}

/*
 * What became of a payload holds for its twins, except that one that was not taken for want of room
 * is tried again.
 */
static void finish(struct take *t, const struct verdict *verdict)
{
	struct takes *all = t->all;
	struct digest digest = t->claim.digest;
	struct verdict same = *verdict;
	if (same.kind == VERDICT_TAKEN) {
		int64_t now = (int64_t)time(NULL);
		struct seen_payload seen = { .digest = digest, .seconds = now, .flows = t->flows };
		(void)seen_add(all->seen, &seen, now);
		if (t->state == DELIVERING && all->spool != NULL)
			spool_remember(all->spool, &seen);
		same.kind = VERDICT_BEFORE;
	}
	end_take(t, verdict);
	if (same.kind != VERDICT_LATER)
		end_twins(all, &digest, &same);
	try_twin(all, &digest);
}

/* ---- conversion ------------------------------------------------------------------------------ */

static void on_delivered(struct delivery *delivery)
{
	struct take *t = CONTAINER_OF(delivery, struct take, delivery);
	finish(t, &(struct verdict){ .kind = VERDICT_TAKEN, .flows = t->flows });
}

static void deliver(struct take *t)
{
	t->state = DELIVERING;
	t->delivery.done = on_delivered;
	worker_deliver(t->all->worker, &t->delivery);
	release_body(t);
}

/*
 * Part of its flows is out, so that it cannot be refused any more: the rest waits for the outputs, and
 * all that comes after it waits for that.
 */
static void resume(struct take *t)
{
	t->state = RESUMING;
	owe(t);
	spool_pause(t->all->spool);
	t->turn.any_time = false;
	worker_schedule(t->all->worker, &t->turn);
}

static void on_stored(void *data, int error)
{
	struct take *t = data;
	if (error != 0)
		t->all->worker->stats.spool_refused++;
	if (error == 0) {
		finish(t, &(struct verdict){ .kind = VERDICT_TAKEN, .flows = t->flows });
	} else if (t->emitted == SPOOL_EVENTS_ALL) {
		/* Its flows are with the outputs: their word is as good. */
		deliver(t);
	} else if (t->emitted > 0) {
		resume(t);
	} else {
		bool full = error == -ENOSPC || error == -EDQUOT;
		finish(t, &(struct verdict){ .kind = VERDICT_LATER,
					     .why = full ? "spool full" : "spool error",
					     .seconds = 1 });
	}
}

static void store(struct take *t)
{
	struct seen_payload payload = {
		.digest = t->claim.digest,
		.seconds = (int64_t)time(NULL),
		.flows = t->flows,
	};
	/* What is owed is the spool's from here on. */
	t->owed = false;
	if (!spool_put(t->all->spool, &payload, buf_slice(&t->body), t->emitted, on_stored, t))
		on_stored(t, -ENOMEM);
}

static void give_up(struct take *t)
{
	bool resuming = t->state == RESUMING;
	struct spool *spool = t->all->spool;
	t->state = ENDING;
	tell_converted(t);
	finish(t, &later_memory);
	if (resuming)
		spool_go_on(spool);
}

static void reject(struct take *t, const struct fault *fault)
{
	struct verdict verdict = { .kind = VERDICT_NEVER, .why = fault_name(fault->code) };
	intake_count_all(t->intake);
	server_tell_fault(t->all->server, t->peer, t->id, fault);
	tell_converted(t);
	finish(t, &verdict);
}

static void end_resuming(struct take *t)
{
	intake_free(&t->intake);
	owe_no_more(t);
	deliver(t);
	spool_go_on(t->all->spool);
}

static void end_conversion(struct take *t, enum step step, const struct fault *fault)
{
	if (step == STEP_BAD && fault->code == FAULT_MEMORY) {
		give_up(t);
		return;
	}
	if (step == STEP_BAD) {
		reject(t, fault);
		return;
	}
	t->flows = intake_flows(t->intake);
	if (t->state == RESUMING) {
		end_resuming(t);
		return;
	}
	t->emitted = t->owed ? intake_emitted(t->intake) : SPOOL_EVENTS_ALL;
	t->state = t->all->spool != NULL ? STORING : DELIVERING;
	intake_free(&t->intake);
	tell_converted(t);
	if (t->all->spool != NULL)
		store(t);
	else
		deliver(t);
}

/*
 * With a spool nothing waits for outputs: while one is full, or while earlier payloads wait for it on
 * disk, the rest of this one is counted only. While one is down all of it is: should the disk fail
 * then, the flows are nowhere, and their peer is told to come again.
 */
static void choose_way(struct take *t)
{
	const struct takes *all = t->all;
	if (all->spool == NULL || t->owed)
		return;
	bool begun = intake_emitted(t->intake) > 0;
	bool straight = begun || (!spool_behind(all->spool) && worker_outputs_up(all->worker));
	if (straight && !pipeline_full(&all->worker->pipeline))
		return;
	intake_only_count(t->intake);
	owe(t);
}

/* Under the configuration in force: what it borrows from has to live as long as it does. */
static bool begin_intake(struct take *t)
{
	config_release(t->config);
	t->config = config_reference(t->all->worker->config);
	t->intake = intake_new(&t->all->worker->pipeline, PAYLOAD_WHOLE, t->peer);
	t->rest = buf_slice(&t->body);
	if (t->intake != NULL && t->state == RESUMING)
		intake_replay(t->intake, t->emitted);
	return t->intake != NULL;
}

static enum turn_result on_turn(struct turn *turn)
{
	struct take *t = CONTAINER_OF(turn, struct take, turn);
	struct fault fault;
	if (t->intake == NULL && !begin_intake(t)) {
		give_up(t);
		return TURN_DONE;
	}
	choose_way(t);
	enum step step = intake_run(t->intake, &t->rest, true, &fault);
	if (step == STEP_OK)
		return TURN_KEEP;
	end_conversion(t, step, &fault);
	return TURN_DONE;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static struct take *take_new(struct takes *all, const struct taking *taking, struct buf *body)
{
	struct take *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->all = all;
	(void)snprintf(t->peer, sizeof(t->peer), "%s", taking->peer);
	(void)snprintf(t->id, sizeof(t->id), "%s", taking->id);
	t->claim.digest = taking->digest;
	t->owner = taking->owner;
	t->data = taking->data;
	t->turn = (struct turn){ .work = on_turn, .any_time = all->spool != NULL };
	t->body = *body;
	buf_init(body, body->max);
	worker_hand_over(all->worker, taking->hold, &t->hold, t->body.cap);
	LIST_INSERT_HEAD(bucket_of(all, &t->claim.digest), t, same);
	all->count++;
	return t;
}

bool take_begin(struct takes *all, const struct taking *taking, struct buf *body,
		struct take **take, struct verdict *verdict)
{
	struct seen_payload seen;
	bool twin = find_same(all, &taking->digest, false) != NULL;
	*take = NULL;
	*verdict = later_memory;
	if (seen_find(all->seen, &taking->digest, (int64_t)time(NULL), &seen))
		*verdict = (struct verdict){ .kind = VERDICT_BEFORE, .flows = seen.flows };
	else
		*take = take_new(all, taking, body);
	if (*take == NULL) {
		buf_deinit(body);
		return false;
	}
	(*take)->state = TWIN;
	if (twin || claim(*take, &seen) != CLAIM_BEFORE)
		return true;
	/* By another worker, just now. */
	*verdict = (struct verdict){ .kind = VERDICT_BEFORE, .flows = seen.flows };
	take_free(*take);
	*take = NULL;
	return false;
}

void take_leave(struct take **take)
{
	struct take *t = *take;
	*take = NULL;
	if (t == NULL)
		return;
	t->owner = NULL;
	/* While nothing of it is anywhere it is as if it had not come. Its twins go on without it. */
	if (t->state == TWIN)
		end_take(t, &later_memory);
	else if (t->state == CONVERTING && t->intake == NULL)
		finish(t, &later_memory);
}

/* One that was not asked for in this tick; whatever is tried may change the list. */
static struct take *next_twin(const struct takes *all, const struct take_bucket *bucket)
{
	struct take *t;
	LIST_FOREACH(t, bucket, same)
		if (t->state == TWIN && t->tick != all->tick)
			return t;
	return NULL;
}

void takes_tick(struct takes *all)
{
	struct take *t;
	if (!all->others)
		return;
	all->others = false;
	all->tick++;
	for (size_t i = 0; i < sizeof(all->bucket) / sizeof(*all->bucket); i++)
		while ((t = next_twin(all, &all->bucket[i])) != NULL) {
			struct digest digest = t->claim.digest;
			t->tick = all->tick;
			try_twin(all, &digest);
		}
}

void takes_deinit(struct takes *all)
{
	for (size_t i = 0; i < sizeof(all->bucket) / sizeof(*all->bucket); i++) {
		struct take *t = LIST_FIRST(&all->bucket[i]);
		while (t != NULL) {
			struct take *next = LIST_NEXT(t, same);
			take_free(t);
			t = next;
		}
	}
}
