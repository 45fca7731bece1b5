/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that only sends: the 2016 Lambda, nc, anything. Its octets go to an intake in turns. What
 * was whole when it goes wrong stands; there is nobody to tell but the log.
 */
#include "base/log.h"
#include "receive/conn.h"
#include "receive/server.h"

static struct conn *conn_of_turn(struct turn *turn)
{
	return CONTAINER_OF(turn, struct conn, turn);
}

static void note_progress(struct conn *c)
{
	uint64_t documents = intake_documents(c->intake);
	bool idle = intake_idle(c->intake);
	if (idle != c->idle || documents != c->documents)
		conn_set_idle(c, idle);
	c->documents = documents;
}

/* The next boundary is gone with the damage, and the connection with it. */
static void end_damaged(struct conn *c, const struct fault *fault)
{
	bool cut = fault->code == FAULT_JSON_CUT || fault->code == FAULT_GZIP_CUT;
	conn_close(c, fault->code == FAULT_MEMORY ? CLOSE_MEMORY
		      : c->read_error != 0	  ? conn_broken(c)
		      : cut			  ? CLOSE_CUT
						  : CLOSE_PAYLOAD);
}

/* Room for what the stream may gather in a turn, before it does; else the peer must wait. */
static bool hold_room(struct conn *c)
{
	size_t most = intake_may_hold(c->intake, conn_input(c));
	c->wants_room = !worker_hold(c->worker, &c->hold, most, true);
	return !c->wants_room;
}

static enum turn_result on_turn(struct turn *turn)
{
	struct conn *c = conn_of_turn(turn);
	if (!intake_pending(c->intake) && !hold_room(c))
		return TURN_DONE;
	struct fault fault;
	struct slice in = conn_input(c);
	enum step step = intake_run(c->intake, &in, c->eof && c->read_error == 0, &fault);
	/* What was not needed is there for others again. */
	(void)!worker_hold(c->worker, &c->hold, intake_held(c->intake), true);
	worker_note_unspooled(c->worker);
	if (step == STEP_BAD)
		server_tell_fault(c->server, c->peer, "unframed", &fault);
	if (step == STEP_BAD && !fault.contained) {
		end_damaged(c, &fault);
		return TURN_DONE;
	}
	conn_keep_input(c, in);
	note_progress(c);
	if (step != STEP_MORE)
		return intake_pending(c->intake) ? TURN_KEEP : TURN_YIELD;
	conn_settle(c);
	return TURN_DONE;
}

static void on_room_again(struct hold *hold)
{
	struct conn *c = CONTAINER_OF(hold, struct conn, hold);
	c->wants_room = false;
	conn_settle(c);
}

void unframed_begin(struct conn *c)
{
	c->mode = CONN_UNFRAMED;
	c->turn.work = on_turn;
	c->hold.room_again = on_room_again;
	conn_renew_config(c);
	c->intake = intake_new(&c->worker->pipeline, PAYLOAD_STREAM, c->peer);
	if (c->intake == NULL)
		conn_close(c, CLOSE_MEMORY);
}

/*
 * Whether its stream came to its end and all of it is converted. After a broken connection what is
 * unfinished stays so: the start of a line is no line.
 */
static bool is_finished(const struct conn *c)
{
	if (!c->eof || c->in_len > 0 || intake_pending(c->intake))
		return false;
	return c->read_error != 0 || intake_idle(c->intake);
}

void unframed_settle(struct conn *c)
{
	if (is_finished(c))
		conn_close(c, c->read_error != 0 ? conn_broken(c) : CLOSE_DONE);
	else if (c->in_len > 0 || c->eof)
		worker_schedule(c->worker, &c->turn);
	else if (c->draining && c->idle)
		conn_close(c, CLOSE_DRAINING);
}
