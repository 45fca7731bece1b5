/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves how the loop and a writer's thread meet: a flow that is alone is written at once, a thread that
 * is at work is not woken for what comes meanwhile, it is never woken while the lock is held that it
 * needs first, it goes on by itself while the loop is busy, and all is written in the order in which it
 * came. The sink is one that writes when it is told to.
 */
#include "support.h"

#include <semaphore.h>
#include <time.h>

#include "deliver/output.h"
#include "deliver/sink.h"

enum {
	FLOWS_BEHIND = 3,
	MUCH = 3 * 512 * 1024, /* octets */
	BLOCKS_MOST = 100,
	PATIENCE_SECS = 10,
};

static uv_loop_t loop;
static struct output *output;
static struct output_config config;
static struct format format;
static struct flow flow;
static struct source source;

static sem_t asleep;  /* a thread, or it is about to be and has the lock */
static sem_t begun;   /* a block is with the sink */
static sem_t allowed; /* to be written */
static sem_t done;    /* it is */
static struct buf written;
static atomic_size_t octets; /* of it */
static unsigned wakes;	     /* by the loop's thread */
static unsigned wakes_within_lock;
static _Thread_local unsigned locks; /* that the thread holds */

/* ---- what is replaced ------------------------------------------------------------------------ */

void __real_uv_mutex_lock(uv_mutex_t *mutex);
void __wrap_uv_mutex_lock(uv_mutex_t *mutex);
void __real_uv_mutex_unlock(uv_mutex_t *mutex);
void __wrap_uv_mutex_unlock(uv_mutex_t *mutex);
void __real_uv_cond_signal(uv_cond_t *cond);
void __wrap_uv_cond_signal(uv_cond_t *cond);
void __real_uv_cond_wait(uv_cond_t *cond, uv_mutex_t *mutex);
void __wrap_uv_cond_wait(uv_cond_t *cond, uv_mutex_t *mutex);
int __wrap_sink_write(struct sink *s, struct slice block, const atomic_bool *abort);

void __wrap_uv_mutex_lock(uv_mutex_t *mutex)
{
	__real_uv_mutex_lock(mutex);
	locks++;
}

void __wrap_uv_mutex_unlock(uv_mutex_t *mutex)
{
	locks--;
	__real_uv_mutex_unlock(mutex);
}

void __wrap_uv_cond_signal(uv_cond_t *cond)
{
	wakes++;
	wakes_within_lock += locks > 0;
	__real_uv_cond_signal(cond);
}

void __wrap_uv_cond_wait(uv_cond_t *cond, uv_mutex_t *mutex)
{
	sem_post(&asleep);
	__real_uv_cond_wait(cond, mutex);
}

int __wrap_sink_write(struct sink *s, struct slice block, const atomic_bool *abort)
{
	(void)s;
	(void)abort;
	sem_post(&begun);
	sem_wait(&allowed);
	bool added = buf_add(&written, block.data, block.len);
	atomic_fetch_add(&octets, block.len);
	sem_post(&done);
	return added ? 0 : -1;
}

/* ---- an output ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	struct slice where;
	atomic_store(&octets, 0);
	wakes = 0;
	wakes_within_lock = 0;
	buf_init(&written, 2 * MUCH);
	sem_init(&asleep, 0, 0);
	sem_init(&begun, 0, 0);
	sem_init(&allowed, 0, 0);
	sem_init(&done, 0, 0);
	config = (struct output_config){
		.name = (char[]){ "file" },
		.destination = { .kind = DESTINATION_FILE, .path = (char[]){ "/dev/null" } },
		.encoder = { .class = encoder_class_by_name(SLICE_LITERAL("json")) },
	};
	assert_int_equal(format_parse(&format, SLICE_LITERAL("srcport"), COLUMN_LIMIT, &where),
			 FORMAT_OK);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(output_open(&output, &config, NULL, &loop, NULL, NULL), 0);
	assert_true(output_begin(output, &format));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	/* After a failure blocks may still be there. */
	for (unsigned i = 0; i <= FLOWS_BEHIND; i++)
		sem_post(&allowed);
	output_close(&output, false);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	sem_destroy(&asleep);
	sem_destroy(&begun);
	sem_destroy(&allowed);
	sem_destroy(&done);
	buf_deinit(&written);
	return 0;
}

static void add(const char *port)
{
	struct fault fault;
	assert_true(flow_parse(&flow, &format, slice_text(port), &fault));
	flow.source = &source;
	assert_true(output_prepare(output, &flow));
	output_flow(output, &flow);
}

/* A flow, and nothing more to come for now. */
static void hand_over(const char *port)
{
	add(port);
	output_flush(output);
}

static void wait_until_written(void)
{
	while (!output_idle(output))
		uv_run(&loop, UV_RUN_ONCE);
}

static void assert_written(const char *expected)
{
	assert_int_equal(written.len, strlen(expected));
	assert_memory_equal(written.data, expected, written.len);
}

/* ---- what is proven -------------------------------------------------------------------------- */

static void a_flow_alone_is_written_at_once(void **state)
{
	(void)state;
	hand_over("1");
	sem_wait(&begun);
	sem_post(&allowed);
	wait_until_written();
	assert_written("{\"srcport\":1}\n");
	assert_int_equal(output_delivered_flows(output), 1);
	assert_in_range(wakes, 0, 1);
}

static void a_thread_at_work_is_not_woken(void **state)
{
	(void)state;
	sem_wait(&asleep);
	hand_over("1");
	sem_wait(&begun);
	assert_int_equal(wakes, 1);
	hand_over("2");
	hand_over("3");
	hand_over("4");
	assert_int_equal(wakes, 1);
	assert_int_equal(output_delivered_flows(output), 0);
	for (unsigned i = 0; i <= FLOWS_BEHIND; i++)
		sem_post(&allowed);
	wait_until_written();
	assert_int_equal(output_delivered_flows(output), 1 + FLOWS_BEHIND);
	assert_written("{\"srcport\":1}\n{\"srcport\":2}\n{\"srcport\":3}\n{\"srcport\":4}\n");
}

static void wait_for_a_block(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_SECS;
	assert_int_equal(sem_timedwait(&done, &until), 0);
}

/* As long as one turn after another is given nothing comes back. */
static void much_is_written_without_the_loop(void **state)
{
	(void)state;
	const char *line = "{\"srcport\":1}\n";
	size_t total = 0;
	for (unsigned i = 0; i < BLOCKS_MOST; i++)
		sem_post(&allowed);
	for (; total < MUCH; total += strlen(line))
		add("1");
	output_flush(output);
	while (atomic_load(&octets) < total)
		wait_for_a_block();
	assert_int_equal(written.len, total);
	assert_int_equal(output_delivered_flows(output), 0);
	wait_until_written();
	assert_int_equal(output_delivered_flows(output), output_taken(output));
}

/* Of many blocks, some a wake. */
static void blocks_are_handed_over_together(void **state)
{
	(void)state;
	const char *line = "{\"srcport\":1}\n";
	for (size_t total = 0; total < MUCH / 4; total += strlen(line))
		add("1");
	assert_int_equal(wakes, 0);
	output_flush(output);
	for (unsigned i = 0; i < BLOCKS_MOST; i++)
		sem_post(&allowed);
	wait_until_written();
	assert_in_range(wakes, 0, 1);
}

/* It sleeps again after each of them, or is about to. */
static void nobody_is_woken_within_the_lock(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		sem_post(&allowed);
		hand_over("1");
		wait_until_written();
	}
	assert_int_equal(output_delivered_flows(output), 100);
	assert_int_equal(wakes_within_lock, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_flow_alone_is_written_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_thread_at_work_is_not_woken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(much_is_written_without_the_loop, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(blocks_are_handed_over_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_woken_within_the_lock, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
