/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fed: octets to cut by and to pack by (fuzz_pack), then payloads.
 * Held, for a pipeline without outputs, with a filter and without: events = flows + nodata + skipdata +
 * rejected + filtered, however it ends; every rejected record has its reason counted; a stream counts
 * the same whatever the cut, read to where octets stay or not, what the filter leaves out included; of a
 * whole that is refused for what it is, not one event was looked at.
 */
#include "fuzz.h"
#include "pipeline.h"

static struct sources sources;
static struct format standard;
static struct format tgw;
static struct filter *filter;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char group[] = "/tgw/*";
	static char account[] = "*6";
	static char vpc[] = "vpc-*a*";
	static struct source_rule rules[] = {
		{ .group = group, .format = &tgw },
		{ .account = account, .has_domain = true, .source = { .domain = 2 } },
		{ .vpc = vpc,
		  .has_exporter = true,
		  .source = { .exporter = "10.0.0.1", .exporter_len = 8 } },
	};
	struct slice where;
	fuzz_quiet(argc, argv);
	CHECK(format_parse(&standard, SLICE_LITERAL("default"), COLUMN_LIMIT, &where) == FORMAT_OK);
	struct filter_mistake mistake;
	CHECK(filter_compile(&filter, SLICE_LITERAL("bytes < 5000 and not srcaddr in ::/0"),
			     &mistake));
	CHECK(format_parse(&tgw, SLICE_LITERAL("tgw"), COLUMN_LIMIT, &where) == FORMAT_OK);
	sources = (struct sources){ .format = &standard, .rules = rules, .count = 3 };
	sources.standard.domain = 1;
	CHECK(source_set_exporter(&sources.standard, SLICE_LITERAL("127.0.0.1")));
	return 0;
}

struct outcome {
	struct stats stats;
	unsigned lost;		 /* documents, the stream went on behind them */
	enum fault_code verdict; /* FAULT_COUNT: it ended well */
};

static void check_law(const struct stats *s, const struct intake *i)
{
	uint64_t reasons = 0;
	CHECK(s->events == s->flows + s->nodata + s->skipdata + s->rejected + s->filtered);
	for (unsigned f = 0; f < FAULT_COUNT; f++)
		reasons += s->fault[f];
	CHECK(reasons == s->rejected);
	CHECK(intake_flows(i) == s->flows + s->filtered);
	CHECK(intake_rejected(i) == s->rejected);
}

static struct outcome run(enum payload_source source, struct slice in, unsigned seed,
			  const struct limits *limits, const struct filter *wanted)
{
	static struct once once;
	static struct pipeline p;
	struct outcome o = { .verdict = FAULT_COUNT };
	/* A whole is there whole. */
	struct cuts cuts = { source == PAYLOAD_WHOLE ? 0 : seed };
	bool placing = source == PAYLOAD_STREAM && seed % 4 >= 2;
	struct fault fault;
	enum step step;
	bool end;
	bool lost;
	memset(&once, 0, sizeof(once));
	pipeline_init(&p, limits, &sources, &o.stats, &once);
	p.filter = wanted;
	struct intake *i = intake_new(&p, source, "192.0.2.1");
	CHECK(i != NULL);
	do {
		size_t room = 0;
		char *place = placing ? intake_room(i, &room) : NULL;
		char *octets;
		struct slice piece = cuts_read(&cuts, &in, place, room, &octets);
		size_t n = piece.len;
		end = in.len == 0 && (n == 0 || seed % 2 == 0 || source == PAYLOAD_WHOLE);
		do {
			size_t most = intake_may_hold(i, piece);
			step = intake_run(i, &piece, end, &fault);
			check_law(&o.stats, i);
			CHECK(source == PAYLOAD_WHOLE || intake_pending(i) ||
			      intake_held(i) <= most);
			lost = step == STEP_BAD && source == PAYLOAD_STREAM && fault.contained;
			o.lost += lost;
		} while (step == STEP_OK || lost);
		CHECK(step == STEP_BAD || piece.len == 0);
		free(octets);
	} while (step == STEP_MORE && !end);
	if (step == STEP_BAD)
		o.verdict = fault.code;
	CHECK(step == STEP_BAD || intake_idle(i));
	intake_free(&i);
	pipeline_deinit(&p);
	return o;
}

static void check_stream(struct slice in, unsigned seed, const struct limits *limits)
{
	struct outcome whole = run(PAYLOAD_STREAM, in, 0, limits, NULL);
	struct outcome cut = run(PAYLOAD_STREAM, in, seed, limits, filter);
	CHECK(fuzz_same_verdict(whole.verdict, cut.verdict));
	if (whole.verdict == FAULT_RATIO || cut.verdict == FAULT_RATIO)
		return;
	/* How near to the damage of gzip lines come out depends on the cut. */
	if (whole.verdict == FAULT_GZIP)
		return;
	CHECK(whole.stats.flows == cut.stats.flows + cut.stats.filtered);
	CHECK(whole.stats.nodata == cut.stats.nodata);
	CHECK(whole.stats.skipdata == cut.stats.skipdata);
	CHECK(memcmp(whole.stats.fault, cut.stats.fault, sizeof(cut.stats.fault)) == 0);
	CHECK(whole.lost == cut.lost);
	CHECK(whole.stats.control_messages == cut.stats.control_messages);
}

static void check_whole(struct slice in, unsigned seed, const struct limits *limits)
{
	struct outcome o = run(PAYLOAD_WHOLE, in, seed, limits, seed % 2 == 0 ? filter : NULL);
	if (o.verdict == FAULT_NOTHING)
		CHECK(o.stats.flows + o.stats.filtered == 0 && o.stats.rejected > 0);
	else if (o.verdict == FAULT_COUNT)
		CHECK(o.stats.flows + o.stats.filtered > 0 || o.stats.rejected == 0);
	else
		CHECK(o.stats.events == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of((const char *)data, size);
	unsigned seed = fuzz_choice(&in);
	unsigned how = fuzz_choice(&in);
	struct limits limits = limits_standard();
	limits.payload = 1024;
	limits.inflated = 128 * 1024;
	limits.columns = 1 + how / PACKINGS * 4;
	struct buf packed;
	buf_init(&packed, SIZE_MAX / 2);
	fuzz_pack(how, in, &packed);
	check_stream(buf_slice(&packed), seed, &limits);
	check_whole(buf_slice(&packed), seed, &limits);
	buf_deinit(&packed);
	return 0;
}
