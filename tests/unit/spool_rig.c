/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_rig.h"

struct rig rig;

void rig_init(void)
{
	static char program[] = "vpcflowd";
	static char output[] = "--output=ftsq:/dev/null";
	static char quiet[] = "--quiet";
	static char size[] = "--spool-segment=4096";
	char spool[TEMP_PATH + 16];
	memset(&rig, 0, sizeof(rig));
	disk_reset();
	temp_folder(rig.folder);
	(void)snprintf(spool, sizeof(spool), "--spool=%s", rig.folder);
	char *argv[] = { program, output, quiet, size, spool, NULL };
	assert_true(config_load(&rig.config, 5, argv));
	log_set_level(LOG_ERROR);
}

void rig_deinit(void)
{
	config_release(rig.config);
	remove_folder(rig.folder);
}

static uint64_t number(const struct flow *flow, enum field field)
{
	const struct value *v = flow_value(flow, field);
	assert_non_null(v);
	return v->number;
}

/* What the output took in this life, one after another. */
static struct {
	unsigned payload;
	unsigned record;
} handed[20000];

static void on_flow(const struct flow *flow)
{
	uint64_t payload = number(flow, FIELD_PACKETS);
	uint64_t record = number(flow, FIELD_BYTES);
	assert_true(payload < RIG_PAYLOADS && record < RIG_RECORDS);
	assert_true(fake_output.taken <= COUNT_OF(handed));
	handed[fake_output.taken - 1].payload = (unsigned)payload;
	handed[fake_output.taken - 1].record = (unsigned)record;
	rig.handed[payload][record]++;
	if (rig.on_handed != NULL)
		rig.on_handed((unsigned)payload, (unsigned)record);
}

static void on_outputs_up(struct worker *w)
{
	(void)w;
}

void rig_start(void)
{
	fake_output.room = UINT64_MAX;
	fake_output.on_flow = on_flow;
	rig.puts = NULL;
	assert_true(worker_init(&rig.worker, rig.config, 1));
	assert_true(worker_open_outputs(&rig.worker, NULL, true, on_outputs_up));
	rig.seen = seen_new(rig.config->limits.remembered_most, rig.config->limits.remembered);
	assert_non_null(rig.seen);
	assert_int_equal(spool_open(&rig.spool, &rig.worker, rig.config->spool, rig.seen), 0);
	rig.server = (struct server){ .worker = &rig.worker };
	takes_init(&rig.server.takes, &rig.server, rig.seen, rig.spool);
	spool_start(rig.spool);
}

/* What it took and did not deliver is gone with the life. */
static void take_back(void)
{
	for (uint64_t i = fake_output.delivered; i < fake_output.taken; i++)
		rig.handed[handed[i].payload][handed[i].record]--;
	fake_output.taken = fake_output.delivered;
}

void rig_end(void)
{
	take_back();
	for (struct rig_put *put = rig.puts; put != NULL; put = put->next)
		rig_leave(put);
	spool_close(rig.spool);
	takes_deinit(&rig.server.takes);
	assert_int_equal(worker_close(&rig.worker, true), 0);
	spool_free(&rig.spool);
	seen_free(&rig.seen);
	while (rig.puts != NULL) {
		struct rig_put *put = rig.puts;
		rig.puts = put->next;
		free(put);
	}
}

void rig_crash(void)
{
	disk_cut(true);
	rig_end();
	disk_cut(false);
}

unsigned rig_records(unsigned payload)
{
	return 1 + payload % RIG_RECORDS;
}

/* Its records, some with a line among them that gives no flow. */
static void add_payload(struct buf *to, unsigned payload)
{
	for (unsigned i = 0; i < rig_records(payload); i++) {
		char line[256];
		(void)snprintf(line, sizeof(line),
			       "2 123456789010 eni-1235b8ca 10.0.0.1 10.0.0.2 1 2 6 %u %u "
			       "1418530010 1418530070 ACCEPT OK\n",
			       payload, i);
		add_text(to, line);
		if (payload % 5 == 3)
			add_text(to, "2 123456789010 eni-1235b8ca - - - - - - - 1418530010 "
				     "1418530070 - NODATA\n");
		if (payload % 7 == 4)
			add_text(to, "no flow log record\n");
	}
}

static void add_nodata(struct buf *to, unsigned number)
{
	char line[256];
	(void)snprintf(line, sizeof(line),
		       "2 123456789010 eni-1235b8ca - - - - - - - %u 1418530070 - NODATA\n",
		       number);
	add_text(to, line);
}

static void on_converted(void *data)
{
	struct rig_put *put = data;
	assert_false(put->converted);
	put->converted = true;
	if (put->leaves)
		rig_leave(put);
}

static void on_done(void *data, const struct verdict *verdict)
{
	struct rig_put *put = data;
	assert_false(put->answered);
	assert_true(put->converted);
	put->take = NULL;
	put->answered = true;
	put->verdict = *verdict;
	if (rig.on_answer != NULL)
		rig.on_answer(put);
}

struct rig_put *rig_put(unsigned peer, unsigned payload)
{
	static const struct take_owner owner = {
		.converted = on_converted,
		.done = on_done,
	};
	struct rig_put *put = calloc(1, sizeof(*put));
	struct buf body;
	assert_non_null(put);
	buf_init(&body, 1 << 20);
	if (rig.without_flows)
		add_nodata(&body, rig.empty_puts++);
	else
		add_payload(&body, payload);
	put->peer = peer;
	put->payload = payload;
	put->since = (int64_t)time(NULL);
	put->next = rig.puts;
	rig.puts = put;
	struct hold hold = { .octets = 0 };
	assert_true(worker_hold(&rig.worker, &hold, body.cap, false));
	struct taking taking = {
		.peer = "192.0.2.1",
		.id = "a",
		.hold = &hold,
		.owner = &owner,
		.data = put,
	};
	assert_true(digest_of(buf_slice(&body), &taking.digest));
	struct verdict verdict;
	if (!take_begin(&rig.server.takes, &taking, &body, &put->take, &verdict)) {
		worker_release(&rig.worker, &hold);
		put->converted = true;
		on_done(put, &verdict);
	}
	assert_null(body.data);
	assert_int_equal(hold.octets, 0);
	return put;
}

void rig_leave(struct rig_put *put)
{
	take_leave(&put->take);
}

void rig_turn(unsigned rounds)
{
	while (rounds-- > 0)
		uv_run(&rig.worker.loop, UV_RUN_NOWAIT);
}

static bool is_settled(void)
{
	return rig.server.takes.count == 0 && (fake_output.room == 0 || !spool_behind(rig.spool));
}

/* Whether it comes to that while there is time. */
static void settle(bool deliver)
{
	uint64_t begun = uv_hrtime();
	uint64_t until = begun + UINT64_C(5000000000);
	while (!is_settled() || (deliver && fake_output.delivered < fake_output.taken)) {
		/* What is partly out, and found a full disk, waits for a full output. */
		if (fake_output.room == 0 && uv_hrtime() - begun > UINT64_C(20000000))
			break;
		if (uv_hrtime() > until)
			fail_msg("stuck: %u takes, %s", rig.server.takes.count,
				 spool_behind(rig.spool) ? "behind" : "not behind");
		if (deliver)
			fake_output_deliver(UINT64_MAX);
		rig_turn(1);
		usleep(10);
	}
	rig_turn(2);
}

void rig_settle(void)
{
	settle(false);
}

void rig_settle_all(void)
{
	settle(true);
}
