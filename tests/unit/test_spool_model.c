/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the spool and the memory of duplicates with random operations: payloads that are new, that
 * come again, from peers that stay or go; outputs that fill up, deliver or do not; disks that fail;
 * ends of the process, in order or not, with a torn tail; a clock that goes on. What has to hold is
 * said by a model of some fields a payload. MODEL_SEQUENCES says how many sequences are tried,
 * MODEL_SEED which one is the first.
 */
#include "spool_rig.h"

#include <errno.h>

enum { STEPS = 40, PEERS = 3, WINDOW = 6 * 3600 };

/* ---- the model ------------------------------------------------------------------------------- */

static struct {
	struct fact {
		bool put;
		bool acked;	 /* or told that it was taken before */
		bool unsure;	 /* duplicates are allowed: something ended before its answer */
		int64_t until;	 /* up to then it is known */
		unsigned taken;	 /* answers of TAKEN */
		unsigned peer;	 /* whose it is */
		bool shared;	 /* several peers sent it */
		unsigned number; /* its place among all puts, the first time */
	} fact[RIG_PAYLOADS];
	unsigned puts;
	unsigned last[PEERS]; /* the number of what the outputs got last of a peer, in this life */
	struct rig_put *open[PEERS];
	int64_t ahead; /* of the clock */
	bool faulty;   /* the disk failed in this life: a kill comes before all is noted */
	uint64_t seed;
	int step;
} model;

#define HOLDS(property)                                                                            \
	do {                                                                                       \
		if (!(property))                                                                   \
			fail_msg("seed %llu step %d line %d: %s", (unsigned long long)model.seed,  \
				 model.step, __LINE__, #property);                                 \
	} while (0)

static int64_t now(void)
{
	return (int64_t)time(NULL);
}

static void on_handed(unsigned payload, unsigned record)
{
	const struct fact *f = &model.fact[payload];
	(void)record;
	HOLDS(f->put);
	if (f->shared || f->unsure)
		return;
	HOLDS(f->number >= model.last[f->peer]);
	model.last[f->peer] = f->number;
}

static void on_answer(struct rig_put *put)
{
	struct fact *f = &model.fact[put->payload];
	bool known = f->acked && now() < f->until;
	switch (put->verdict.kind) {
	case VERDICT_TAKEN:
		HOLDS(!known);
		f->taken++;
		f->until = put->since + WINDOW - 1;
		break;
	case VERDICT_BEFORE:
		HOLDS(f->acked || f->unsure || f->shared);
		break;
	case VERDICT_LATER:
		HOLDS(!known);
		f->unsure = true;
		return;
	case VERDICT_NEVER:
		HOLDS(!"all payloads are good");
		break;
	}
	f->acked = true;
	HOLDS(put->verdict.flows == rig_records(put->payload));
}

/* The end of a life: what has no answer may be taken or not; what is not delivered comes again. */
static void forget_life(bool delivered, bool killed)
{
	for (const struct rig_put *put = rig.puts; put != NULL; put = put->next)
		if (!put->answered)
			model.fact[put->payload].unsure = true;
	for (unsigned p = 0; p < RIG_PAYLOADS; p++) {
		model.fact[p].unsure |= !delivered;
		if (model.faulty && killed)
			model.fact[p].until = 0;
	}
	model.faulty = false;
	memset(model.last, 0, sizeof(model.last));
	memset(model.open, 0, sizeof(model.open));
}

static void check_end(void)
{
	for (unsigned p = 0; p < RIG_PAYLOADS; p++) {
		const struct fact *f = &model.fact[p];
		for (unsigned i = 0; i < rig_records(p); i++) {
			unsigned handed = rig.handed[p][i];
			HOLDS(!f->acked || handed >= 1);
			HOLDS(f->unsure || handed == f->taken);
		}
	}
	HOLDS(rig.worker.stats.spool_damaged == 0);
	HOLDS(rig.worker.stats.spool_unconverted == 0);
	HOLDS(!spool_behind(rig.spool));
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void put(struct dice *dice, unsigned payload)
{
	unsigned peer = (unsigned)dice_below(dice, PEERS);
	struct fact *f = &model.fact[payload];
	/* One payload of a peer after another. */
	if (model.open[peer] != NULL && !model.open[peer]->converted)
		return;
	f->shared |= f->put && f->peer != peer;
	/* Only the first time is it known where it belongs. */
	f->shared |= f->put;
	f->put = true;
	f->peer = peer;
	f->number = ++model.puts;
	model.open[peer] = rig_put(peer, payload);
}

static void put_new(struct dice *dice)
{
	unsigned payload = 0;
	while (payload < RIG_PAYLOADS && model.fact[payload].put)
		payload++;
	put(dice, payload < RIG_PAYLOADS ? payload : (unsigned)dice_below(dice, RIG_PAYLOADS));
}

static void leave(struct dice *dice)
{
	unsigned peer = (unsigned)dice_below(dice, PEERS);
	struct rig_put *open = model.open[peer];
	if (open == NULL || open->answered)
		return;
	model.fact[open->payload].unsure = true;
	rig_leave(open);
	open->answered = true;
	model.open[peer] = NULL;
}

/* The next life begins on a disk that works. */
static void start_again(void)
{
	disk_fail(DISK_FDATASYNC, 0, 0);
	disk_room(UINT64_MAX);
	rig_start();
}

/* Some of what was written and not synced is not there after the power was gone. */
static void tear(struct dice *dice)
{
	for (uint64_t n = 200; n > 0; n--) {
		char name[SEGMENT_NAME];
		char path[2 * TEMP_PATH];
		segment_name(n, ".put", name);
		long long size = file_size(rig.folder, name);
		if (size < 0)
			continue;
		folder_file(rig.folder, name, path);
		uint64_t synced = disk_synced(path);
		if (synced < (uint64_t)size) {
			uint64_t to = synced + dice_below(dice, (size_t)size - synced + 1);
			assert_int_equal(truncate(path, (off_t)to), 0);
		}
		return;
	}
}

static void crash(struct dice *dice)
{
	forget_life(false, true);
	rig_crash();
	if (dice_below(dice, 2) == 0)
		tear(dice);
	start_again();
}

/* As at SIGTERM: the outputs deliver what they have, and the rest waits for the next start. */
static void restart(struct dice *dice)
{
	bool down = dice_below(dice, 3) == 0;
	if (down) {
		rig_turn((unsigned)dice_below(dice, 5));
	} else {
		fake_output_room(UINT64_MAX);
		rig_settle_all();
	}
	forget_life(!down, false);
	rig_end();
	start_again();
}

/* A stop that does not wait for a payload that has just come, whose peer sends it again. */
static void stop_at_once(struct dice *dice)
{
	unsigned payload = (unsigned)dice_below(dice, RIG_PAYLOADS);
	fake_output_room(UINT64_MAX);
	rig_settle_all();
	put(dice, payload);
	rig_turn((unsigned)dice_below(dice, 4));
	forget_life(false, false);
	rig_end();
	start_again();
	put(dice, payload);
}

static void step(struct dice *dice)
{
	switch (dice_below(dice, 25)) {
	case 24:
		stop_at_once(dice);
		break;
	case 0:
		crash(dice);
		break;
	case 1:
		restart(dice);
		break;
	case 2:
	case 3:
		fake_output_room(0);
		break;
	case 4:
	case 5:
		fake_output_room(UINT64_MAX);
		break;
	case 6:
	case 7:
		fake_output_room(dice_below(dice, 10));
		break;
	case 8:
	case 9:
		fake_output_deliver(dice_below(dice, 10));
		break;
	case 10:
		fake_output_deliver(UINT64_MAX);
		break;
	case 11:
		model.ahead += (int64_t)dice_below(dice, 5) * 3600;
		disk_set_clock(model.ahead);
		break;
	case 12:
		leave(dice);
		break;
	case 13:
		model.faulty = true;
		disk_room(dice_below(dice, 1000));
		rig_turn((unsigned)dice_below(dice, 10));
		break;
	case 14:
		disk_room(UINT64_MAX);
		break;
	case 15:
		model.faulty = true;
		disk_fail(DISK_FDATASYNC, EIO, 1);
		break;
	case 16:
		rig_settle_all();
		break;
	case 17:
	case 18:
	case 19:
		put(dice, (unsigned)dice_below(dice, RIG_PAYLOADS));
		break;
	default:
		put_new(dice);
	}
	rig_turn((unsigned)dice_below(dice, 4));
}

static void run_sequence(uint64_t seed)
{
	struct dice dice = { seed * 2654435761u + 1 };
	memset(&model, 0, sizeof(model));
	memset(rig.handed, 0, sizeof(rig.handed));
	model.seed = seed;
	empty_folder(rig.folder);
	disk_reset();
	rig_start();
	for (model.step = 0; model.step < STEPS; model.step++)
		step(&dice);
	disk_room(UINT64_MAX);
	disk_fail(DISK_FDATASYNC, EIO, 0);
	fake_output_room(UINT64_MAX);
	rig_settle_all();
	check_end();
	rig_end();
	HOLDS(count_files(rig.folder, ".put") == 0);
	HOLDS(count_files(rig.folder, ".kept") == 0);
}

static void test_model(void **state)
{
	(void)state;
	const char *first = getenv("MODEL_SEED");
	uint64_t seed = first == NULL ? 1 : strtoull(first, NULL, 10);
	rig_init();
	rig.on_handed = on_handed;
	rig.on_answer = on_answer;
	for (uint64_t n = model_sequences(300); n > 0; n--)
		run_sequence(seed++);
	rig_deinit();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
