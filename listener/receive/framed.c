/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that wants to know. Each PUT is an entry in a queue from its command line to its answer,
 * and answers leave in the order of that queue:
 *
 *   RECEIVING ─▶ QUEUED ─▶ TAKING (take.h) ─▶ ANSWERED ─▶ gone
 *       └───────────┴──── RETRY, REJECT ──────────▲
 *
 * A payload's digest is made while its octets come. They are converted one PUT after another. While
 * the first in the queue has no answer the peer gets WAIT every few seconds.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "base/log.h"
#include "receive/conn.h"
#include "receive/server.h"

enum {
	BODY_FIRST = 64 * 1024, /* room for a body grows from here, as its octets come */
	BODY_GROWTH = 8,	/* times as much: most bodies move once, with little in them */
	PUTS_LIMIT = 64,	/* unanswered PUTs of one peer; then it is not read from */
	WRITES_LIMIT = 16,	/* replies that a peer has not read; the same */
	WAIT_MS = 3000,
	OVERLOAD_MS = 30000, /* no room for a PUT for so long: RETRY */
	RETRY_SECS = 5,
	SILENCE_MS = 250,
	REPLY_ROOM = FRAME_ID + 64,
};

enum put_state { PUT_RECEIVING, PUT_QUEUED, PUT_TAKING, PUT_ANSWERED };

struct put {
	STAILQ_ENTRY(put) link;
	struct conn *conn;
	enum put_state state;
	char id[FRAME_ID + 1];
	uint64_t length;
	struct buf body;	   /* until it is taken */
	struct digester *digester; /* RECEIVING */
	struct digest digest;
	struct take *take;   /* TAKING */
	uint64_t waited_ms;  /* when it came, or when the last WAIT was sent */
	uint64_t whole_ns;   /* when its last octet came */
	bool acked;	     /* ANSWERED: with ACK */
	uint64_t starved_ms; /* since when there is no room for it; 0 for never */
	char reply[REPLY_ROOM];
};

static uint64_t now_ms(const struct conn *c)
{
	return uv_now(&c->worker->loop);
}

static struct stats *stats_of(struct conn *c)
{
	return &c->worker->stats;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void free_body(struct put *put)
{
	struct conn *c = put->conn;
	c->bodies -= put->body.cap;
	buf_deinit(&put->body);
}

static void free_put(struct put *put)
{
	take_leave(&put->take);
	digester_free(&put->digester);
	free_body(put);
	free(put);
}

/* Frees the first in the queue. */
static void drop_first(struct conn *c)
{
	struct put *put = STAILQ_FIRST(&c->puts);
	STAILQ_REMOVE_HEAD(&c->puts, link);
	c->put_count--;
	free_put(put);
}

/* Sends what is answered at the front of the queue; whether that made room in it. */
static bool send_answers(struct conn *c)
{
	unsigned before = c->put_count;
	char replies[8 * REPLY_ROOM];
	size_t len = 0;
	struct put *put;
	while (c->mode == CONN_FRAMED && (put = STAILQ_FIRST(&c->puts)) != NULL &&
	       put->state == PUT_ANSWERED) {
		size_t n = strlen(put->reply);
		memcpy(replies + len, put->reply, n);
		len += n;
		if (put->acked)
			latency_note(&stats_of(c)->ack, uv_hrtime() - put->whole_ns);
		drop_first(c);
		if (sizeof(replies) - len < REPLY_ROOM || STAILQ_EMPTY(&c->puts) ||
		    STAILQ_FIRST(&c->puts)->state != PUT_ANSWERED) {
			conn_write(c, slice_of(replies, len));
			len = 0;
		}
	}
	return c->mode == CONN_FRAMED && c->put_count < before;
}

static void answer(struct put *put, const char *format, ...) PRINTF_LIKE(2, 3);

static void answer(struct put *put, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(put->reply, sizeof(put->reply), format, args);
	va_end(args);
	put->state = PUT_ANSWERED;
	free_body(put);
}

static void answer_taken(struct put *put, const char *word, uint64_t flows)
{
	log_debug("peer", "payload taken peer=%s id=%s answer=%s octets=%llu flows=%llu",
		  put->conn->peer, put->id, word, (unsigned long long)put->length,
		  (unsigned long long)flows);
	answer(put, "%s %s %llu\n", word, put->id, (unsigned long long)flows);
}

static void answer_ack(struct put *put, uint64_t flows)
{
	stats_of(put->conn)->acks++;
	put->acked = true;
	answer_taken(put, "ACK", flows);
}

static void answer_dup(struct put *put, uint64_t flows)
{
	stats_of(put->conn)->dups++;
	answer_taken(put, "DUP", flows);
}

static void answer_retry(struct put *put, unsigned seconds, const char *why)
{
	stats_of(put->conn)->retries++;
	answer(put, "RETRY %s %u %s\n", put->id, seconds, why);
}

static void answer_reject(struct put *put, const char *why)
{
	stats_of(put->conn)->rejects++;
	answer(put, "REJECT %s %s\n", put->id, why);
}

/* After bodies were freed: less is never refused. */
static void update_hold(struct conn *c)
{
	(void)!worker_hold(c->worker, &c->hold, c->bodies, false);
}

/* ---- a PUT's octets -------------------------------------------------------------------------- */

static struct put *put_new(struct conn *c, const char *id, uint64_t length)
{
	struct put *put = calloc(1, sizeof(*put));
	if (put == NULL) {
		conn_close(c, CLOSE_MEMORY);
		return NULL;
	}
	put->conn = c;
	put->length = length;
	put->waited_ms = now_ms(c);
	memcpy(put->id, id, strlen(id) + 1);
	buf_init(&put->body, length);
	STAILQ_INSERT_TAIL(&c->puts, put, link);
	c->put_count++;
	return put;
}

/* Whether a payload of the peer's is being taken, which will free memory. */
static bool is_taking(const struct conn *c)
{
	const struct put *put;
	STAILQ_FOREACH(put, &c->puts, link)
		if (put->state == PUT_TAKING)
			return true;
	return false;
}

/*
 * Makes room for more of the body. False: there is none now, wait; or memory ran out and the PUT
 * was answered.
 */
static bool grow_body(struct conn *c, struct put *put)
{
	if (put->body.len < put->body.cap)
		return true;
	size_t cap = put->body.cap == 0 ? BODY_FIRST : put->body.cap * BODY_GROWTH;
	if (cap > put->length)
		cap = put->length;
	bool alone = c->bodies == put->body.cap && !is_taking(c);
	size_t bodies = c->bodies - put->body.cap + cap;
	c->wants_room = !worker_hold(c->worker, &c->hold, bodies, alone);
	if (c->wants_room) {
		if (put->starved_ms == 0)
			put->starved_ms = now_ms(c);
		return false;
	}
	put->starved_ms = 0;
	c->bodies -= put->body.cap;
	bool grown = buf_reserve(&put->body, cap - put->body.len);
	c->bodies += put->body.cap;
	return grown;
}

/* A PUT that will not be taken: its octets are dropped as they come. */
static void skip_rest(struct conn *c, struct put *put)
{
	c->skip = put->length - put->body.len;
	c->receiving = NULL;
	c->wants_room = false;
}

static void take_next(struct conn *c);

/* n octets more of the body are there. */
static void add_to_body(struct conn *c, size_t n)
{
	struct put *put = c->receiving;
	digester_add(put->digester, slice_of(put->body.data + put->body.len, n));
	put->body.len += n;
	if (put->body.len < put->length)
		return;
	put->whole_ns = uv_hrtime();
	put->digest = digester_end(put->digester);
	digester_free(&put->digester);
	c->receiving = NULL;
	put->state = PUT_QUEUED;
	take_next(c);
}

void framed_received(struct conn *c, size_t n)
{
	add_to_body(c, n);
}

uv_buf_t framed_room(struct conn *c)
{
	struct put *put = c->receiving;
	if (put == NULL || c->in_len > 0)
		return uv_buf_init(NULL, 0);
	return uv_buf_init(put->body.data + put->body.len,
			   (unsigned)(put->body.cap - put->body.len));
}

/*
 * Makes sure that octets of the body at hand have a place. False when the peer has to wait; a PUT
 * that memory ran out for is answered and skipped.
 */
static bool ensure_room(struct conn *c)
{
	struct put *put = c->receiving;
	if (grow_body(c, put))
		return true;
	if (c->wants_room)
		return false;
	skip_rest(c, put);
	answer_retry(put, RETRY_SECS, "memory");
	update_hold(c);
	return true;
}

static bool take_body(struct conn *c)
{
	if (!ensure_room(c))
		return false;
	struct put *put = c->receiving;
	if (put == NULL || c->in_len == 0)
		return true;
	struct slice in = conn_input(c);
	size_t room = put->body.cap - put->body.len;
	size_t n = in.len < room ? in.len : room;
	memcpy(put->body.data + put->body.len, in.data, n);
	slice_skip(&in, n);
	conn_keep_input(c, in);
	add_to_body(c, n);
	return true;
}

/* ---- commands -------------------------------------------------------------------------------- */

void framed_refuse(struct conn *c, const char *why, enum close_reason reason)
{
	struct put *put = put_new(c, "-", 0);
	if (put == NULL)
		return;
	c->ending = true;
	c->ending_reason = reason;
	answer_reject(put, why);
}

/* The answer waits, and nothing is read until then. */
static void refuse_auth(struct conn *c)
{
	stats_of(c)->auth_failures++;
	c->refuse_ms = now_ms(c) + penalties_fail(&c->server->penalties, c->network, now_ms(c));
}

/* Who was let in stays in only as long as its token is one. */
static bool is_admitted(const struct conn *c)
{
	const struct tokens *tokens = &c->worker->config->tokens;
	return tokens->count == 0 || tokens_have(tokens, c->admitted);
}

static void try_token(struct conn *c, struct slice token)
{
	uint32_t number = tokens_accept(&c->worker->config->tokens, token);
	if (number == 0)
		return;
	c->admitted = number;
	penalties_forgive(&c->server->penalties, c->network);
}

static void begin_body(struct conn *c, struct put *put)
{
	put->digester = digester_new();
	if (put->digester != NULL) {
		c->receiving = put;
		return;
	}
	skip_rest(c, put);
	answer_retry(put, RETRY_SECS, "memory");
}

static void begin_put(struct conn *c, const struct frame *frame)
{
	struct put *put = put_new(c, frame->id, frame->length);
	if (put == NULL)
		return;
	stats_of(c)->puts++;
	conn_set_idle(c, false);
	struct fault fault = { .code = FAULT_COUNT };
	if (frame->length == 0)
		fault.code = FAULT_EMPTY;
	else if (frame->length > c->config->limits.payload)
		fault.code = FAULT_TOO_LARGE;
	if (c->draining || fault.code != FAULT_COUNT)
		skip_rest(c, put);
	else
		begin_body(c, put);
	if (c->draining) {
		answer_retry(put, RETRY_SECS, "draining");
	} else if (fault.code != FAULT_COUNT) {
		server_tell_fault(c->server, c->peer, put->id, &fault);
		answer_reject(put, fault_name(fault.code));
	}
}

static void refuse_command(struct conn *c, const char *why)
{
	char line[LOG_ESCAPED];
	struct slice sample = conn_input(c);
	/* What follows that word is a secret. */
	if (sample.len >= 4 && memcmp(sample.data, "AUTH", 4) == 0)
		sample.len = 4;
	if (once_first(&c->worker->once, c->peer, ONCE_COMMAND, now_ms(c)))
		log_warn("peer", "malformed command: %s peer=%s line=\"%s\"", why, c->peer,
			 log_escape(sample, line));
	framed_refuse(c, why, CLOSE_COMMAND);
}

static bool take_command(struct conn *c)
{
	struct slice in = conn_input(c);
	struct frame frame;
	const char *why;
	enum step step = frame_next(&in, &frame, &why);
	if (step == STEP_MORE)
		return false;
	if (step == STEP_BAD)
		refuse_command(c, why);
	else if (frame.kind == FRAME_AUTH)
		try_token(c, frame.token);
	if (step == STEP_OK && !is_admitted(c))
		refuse_auth(c);
	else if (step == STEP_OK && frame.kind == FRAME_PUT)
		begin_put(c, &frame);
	if (c->mode == CONN_FRAMED)
		conn_keep_input(c, in);
	return true;
}

static void skip_octets(struct conn *c)
{
	struct slice in = conn_input(c);
	size_t n = in.len < c->skip ? in.len : (size_t)c->skip;
	slice_skip(&in, n);
	c->skip -= n;
	conn_keep_input(c, in);
}

static bool queue_is_full(const struct conn *c)
{
	return c->put_count >= PUTS_LIMIT || c->writes >= WRITES_LIMIT;
}

static void use_input(struct conn *c)
{
	bool more = true;
	while (more && c->mode == CONN_FRAMED && !c->ending && c->in_len > 0) {
		if (c->refuse_ms != 0)
			break;
		if (c->skip > 0)
			skip_octets(c);
		else if (c->receiving != NULL)
			more = take_body(c);
		else
			more = !queue_is_full(c) && take_command(c);
	}
	/* The octets to come are read straight into the body: their room must be there by then. */
	if (more && c->mode == CONN_FRAMED && c->receiving != NULL)
		(void)!ensure_room(c);
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void give_verdict(struct put *put, const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_TAKEN:
		answer_ack(put, verdict->flows);
		break;
	case VERDICT_BEFORE:
		answer_dup(put, verdict->flows);
		break;
	case VERDICT_LATER:
		answer_retry(put, verdict->seconds, verdict->why);
		break;
	case VERDICT_NEVER:
		answer_reject(put, verdict->why);
		break;
	}
}

static void on_converted(void *data)
{
	struct conn *c = ((struct put *)data)->conn;
	c->taking = NULL;
	take_next(c);
	/* What was known already has its answer now. */
	conn_settle(c);
}

static void on_taken(void *data, const struct verdict *verdict)
{
	struct put *put = data;
	struct conn *c = put->conn;
	put->take = NULL;
	give_verdict(put, verdict);
	conn_settle(c);
}

static struct put *next_queued(struct conn *c)
{
	struct put *put;
	STAILQ_FOREACH(put, &c->puts, link)
		if (put->state == PUT_QUEUED)
			return put;
	return NULL;
}

/* Whether it is under way; else it has its answer. */
static bool begin_taking(struct conn *c, struct put *put)
{
	static const struct take_owner owner = {
		.converted = on_converted,
		.done = on_taken,
	};
	struct taking taking = {
		.peer = c->peer,
		.id = put->id,
		.digest = put->digest,
		.hold = &c->hold,
		.owner = &owner,
		.data = put,
	};
	struct verdict verdict;
	size_t octets = put->body.cap;
	put->state = PUT_TAKING;
	bool begun = take_begin(&c->server->takes, &taking, &put->body, &put->take, &verdict);
	c->bodies -= octets;
	if (begun)
		return true;
	update_hold(c);
	give_verdict(put, &verdict);
	return false;
}

/* One after another, in the order they came. Answers are left to be sent by the caller. */
static void take_next(struct conn *c)
{
	struct put *put;
	while (c->taking == NULL && (put = next_queued(c)) != NULL) {
		conn_renew_config(c);
		if (begin_taking(c, put))
			c->taking = put;
	}
}

/* ---- the connection's view ------------------------------------------------------------------- */

static void on_room_again(struct hold *hold)
{
	struct conn *c = CONTAINER_OF(hold, struct conn, hold);
	c->wants_room = false;
	conn_settle(c);
}

void framed_begin(struct conn *c)
{
	c->mode = CONN_FRAMED;
	c->hold.room_again = on_room_again;
}

bool framed_busy(const struct conn *c)
{
	return c->receiving != NULL || c->skip > 0 || c->in_len > 0 || c->put_count > 0;
}

/* Whether a PUT before the one that is being received has no answer yet. */
static bool is_waited_for(const struct conn *c)
{
	const struct put *put = STAILQ_FIRST(&c->puts);
	return put != NULL && put != c->receiving;
}

/* While much is held a peer has one payload there, and not all that it sends ahead. */
bool framed_wants_input(const struct conn *c)
{
	return !c->ending && c->refuse_ms == 0 && !c->wants_room && !queue_is_full(c) &&
	       c->in_len < CONN_INPUT && !(is_waited_for(c) && worker_is_laden(c->worker));
}

/* A PUT whose octets will not come any more has no answer to wait for. */
static void drop_receiving(struct conn *c)
{
	struct put *put = c->receiving;
	c->receiving = NULL;
	c->put_count--;
	STAILQ_REMOVE(&c->puts, put, put, link);
	free_put(put);
	update_hold(c);
}

static void at_eof(struct conn *c)
{
	bool cut = c->receiving != NULL || c->skip > 0 || c->in_len > 0;
	if (c->receiving != NULL)
		drop_receiving(c);
	c->ending = true;
	c->ending_reason = cut ? CLOSE_CUT : CLOSE_DONE;
}

void framed_settle(struct conn *c)
{
	/* Answers make room for more PUTs, which may be answered at once. */
	do
		use_input(c);
	while (send_answers(c) && c->in_len > 0);
	if (c->mode == CONN_FRAMED && c->eof && !c->ending && c->refuse_ms == 0 &&
	    !queue_is_full(c) && !c->wants_room)
		at_eof(c);
	if (c->mode == CONN_FRAMED && c->idle != !framed_busy(c))
		conn_set_idle(c, !framed_busy(c));
}

/*
 * Draining, a peer whose PUTs are all answered leaves once it is silent: others that it sent may
 * still be on their way, and get their answer too.
 */
static void end_if_silent(struct conn *c, uint64_t now)
{
	if (!c->draining || c->ending || !STAILQ_EMPTY(&c->puts) || now - c->heard_ms < SILENCE_MS)
		return;
	c->ending = true;
	c->ending_reason = CLOSE_DRAINING;
	conn_settle(c);
}

void framed_drain(struct conn *c)
{
	struct put *put = c->receiving;
	if (put != NULL) {
		skip_rest(c, put);
		answer_retry(put, RETRY_SECS, "draining");
		update_hold(c);
	}
	end_if_silent(c, now_ms(c));
}

void framed_give_up(struct conn *c)
{
	const char *why = c->worker->output_error != 0 ? "output" : "draining";
	struct put *put;
	STAILQ_FOREACH(put, &c->puts, link)
		if (put->state != PUT_ANSWERED) {
			take_leave(&put->take);
			answer_retry(put, RETRY_SECS, why);
		}
	c->taking = NULL;
	c->receiving = NULL;
	(void)send_answers(c);
}

void framed_tick(struct conn *c, uint64_t now)
{
	struct put *receiving = c->receiving;
	if (receiving != NULL && receiving->starved_ms != 0 &&
	    now - receiving->starved_ms >= OVERLOAD_MS) {
		skip_rest(c, receiving);
		answer_retry(receiving, RETRY_SECS, "overload");
		update_hold(c);
		conn_settle(c);
		return;
	}
	if (c->refuse_ms != 0 && now >= c->refuse_ms) {
		c->refuse_ms = 0;
		framed_refuse(c, "auth", CLOSE_AUTH);
		conn_settle(c);
		return;
	}
	struct put *put = STAILQ_FIRST(&c->puts);
	if (put == NULL) {
		end_if_silent(c, now);
		return;
	}
	bool ours = put->state != PUT_ANSWERED && (put->state != PUT_RECEIVING || c->wants_room);
	if (!ours || now - put->waited_ms < WAIT_MS)
		return;
	char line[REPLY_ROOM];
	int len = snprintf(line, sizeof(line), "WAIT %s\n", put->id);
	put->waited_ms = now;
	stats_of(c)->waits++;
	conn_write(c, slice_of(line, (size_t)len));
}

void framed_free(struct conn *c)
{
	while (!STAILQ_EMPTY(&c->puts))
		drop_first(c);
	c->receiving = NULL;
	c->taking = NULL;
}
