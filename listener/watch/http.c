/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that is known of libmicrohttpd. In: requests, to its one thread, which sees no signal. Out: what
 * the routes make of the newest publication; what does not depend on the time is made once for all
 * who ask before the next one, so a thousand who ask at once cost little more than one.
 *
 * Limits: CONNECTIONS at a time, more wait in the kernel's queue; PER_ADDRESS of them from one
 * address, more are closed; SILENCE_SECS without an octet, LIFE_MS in all; a request's line and
 * headers fit REQUEST_MEMORY. One request a connection, so that none keeps its place for nothing.
 *
 * Whoever listens on a loopback address is asked by that, or as localhost: a page from elsewhere
 * whose name was made to lead here does not get an answer (DNS rebinding).
 */
#include "watch/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/thread.h"
#include "receive/sockets.h"

enum {
	PER_ADDRESS = 32,
	SILENCE_SECS = 5,
	LIFE_MS = 10000,
	REQUEST_MEMORY = 16 * 1024,
	NICE = 10,
	STACK = 256 * 1024,
	ROUTES_MOST = 32,
	LOG_ROOM = 256,
};

/* A connection's place. */
struct visit {
	int fd; /* -1: free */
	uint64_t since_ms;
	bool ended; /* it was told to go */
};

/* An answer that holds for a publication. */
struct kept {
	struct MHD_Response *response; /* NULL: none yet */
	unsigned status;
	uint64_t number; /* of the publication */
};

struct http {
	const struct http_route *routes;
	struct board *board;
	bool loopback;
	char address[SOCKET_TEXT];
	struct MHD_Daemon *daemon;
	struct kept kept[ROUTES_MOST]; /* the thread's */
	bool stepped_back;
	uv_mutex_t mutex; /* of the visits: a descriptor is not closed within it */
	struct visit visit[HTTP_CONNECTIONS];
};

/* ---- answers --------------------------------------------------------------------------------- */

/* What every answer says beside its type and policy. Nobody else's page may have any of it. */
static const struct {
	const char *name;
	const char *value;
} headers[] = {
	{ MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
	{ MHD_HTTP_HEADER_CONNECTION, "close" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
};

static const char no_policy[] = "default-src 'none'; frame-ancestors 'none'";

/* Takes the body over. NULL without memory. */
static struct MHD_Response *response_new(struct buf *body, const char *type, const char *policy)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(body->len, body->data,
								 MHD_RESPMEM_MUST_FREE);
	if (r == NULL) {
		buf_deinit(body);
		return NULL;
	}
	buf_init(body, body->max);
	bool ok = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
		  MHD_add_response_header(r, "Content-Security-Policy",
					  policy == NULL ? no_policy : policy) == MHD_YES;
	for (size_t i = 0; ok && i < sizeof(headers) / sizeof(*headers); i++)
		ok = MHD_add_response_header(r, headers[i].name, headers[i].value) == MHD_YES;
	if (ok)
		return r;
	MHD_destroy_response(r);
	return NULL;
}

/* The connection is closed when there is no memory for an answer. */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
	if (r == NULL)
		return MHD_NO;
	return MHD_queue_response(c, status, r);
}

/* One line of text; allow: the methods there are, or NULL. */
static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text,
				   const char *allow)
{
	struct buf body;
	buf_init(&body, LOG_ROOM);
	(void)!buf_add(&body, text, strlen(text));
	struct MHD_Response *r = response_new(&body, "text/plain; charset=utf-8", NULL);
	if (r != NULL && allow != NULL)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow);
	enum MHD_Result result = answer(c, status, r);
	if (r != NULL)
		MHD_destroy_response(r);
	return result;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static struct MHD_Response *make(const struct http_route *route, const struct published *p,
				 unsigned *status)
{
	struct buf body;
	buf_init(&body, HTTP_BODY_MOST);
	*status = route->make(&body, p);
	if (*status != 0)
		return response_new(&body, route->type, route->policy);
	buf_deinit(&body);
	return NULL;
}

static void keep(struct kept *kept, struct MHD_Response *r, unsigned status, uint64_t number)
{
	if (kept->response != NULL)
		MHD_destroy_response(kept->response);
	*kept = (struct kept){ .response = r, .status = status, .number = number };
}

static enum MHD_Result answer_route(struct http *h, struct MHD_Connection *c, size_t n)
{
	const struct http_route *route = &h->routes[n];
	struct kept *kept = &h->kept[n];
	const struct published *p = board_take(h->board);
	if (kept->response == NULL || kept->number != p->number || route->at_once) {
		unsigned status;
		struct MHD_Response *r = make(route, p, &status);
		keep(kept, r, status, p->number);
	}
	published_free(&p);
	if (kept->response == NULL)
		return answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n", NULL);
	return answer(c, kept->status, kept->response);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The host of HOST, HOST:PORT or [HOST]:PORT. */
static struct slice host_of(const char *text)
{
	struct slice host = slice_text(text);
	const char *bracket = strchr(text, ']');
	if (*text == '[' && bracket != NULL)
		return slice_of(text + 1, (size_t)(bracket - text - 1));
	const char *colon = strchr(text, ':');
	if (colon != NULL)
		host.len = (size_t)(colon - text);
	return host;
}

static bool is_for_us(const struct http *h, struct MHD_Connection *c)
{
	static const char localhost[] = "localhost";
	const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
	struct address address;
	if (!h->loopback || text == NULL)
		return true;
	struct slice host = host_of(text);
	return address_parse(host, &address) || (host.len == sizeof(localhost) - 1 &&
						 strncasecmp(host.data, localhost, host.len) == 0);
}

static bool is_read_only(const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* Paths are looked up as they were written. */
static size_t on_escapes(void *data, struct MHD_Connection *c, char *text)
{
	(void)data;
	(void)c;
	return strlen(text);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *c, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **request)
{
	struct http *h = data;
	(void)version;
	(void)upload;
	(void)upload_len;
	(void)request;
	if (!is_for_us(h, c))
		return answer_text(c, MHD_HTTP_MISDIRECTED_REQUEST,
				   "ask by address, or as localhost\n", NULL);
	if (!is_read_only(method))
		return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n",
				   "GET, HEAD");
	for (size_t i = 0; h->routes[i].path != NULL; i++)
		if (strcmp(h->routes[i].path, path) == 0)
			return answer_route(h, c, i);
	return answer_text(c, MHD_HTTP_NOT_FOUND, "not found\n", NULL);
}

/* ---- connections ----------------------------------------------------------------------------- */

static uint64_t clock_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Where processors are short flows come first. Best effort: systemd's filters may forbid it. */
static void step_back(struct http *h)
{
	if (!h->stepped_back)
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	h->stepped_back = true;
}

static void on_connection(void *data, struct MHD_Connection *c, void **place,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *h = data;
	struct visit *v = *place;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		c, MHD_CONNECTION_INFO_CONNECTION_FD);
	step_back(h);
	uv_mutex_lock(&h->mutex);
	if (code == MHD_CONNECTION_NOTIFY_CLOSED && v != NULL)
		v->fd = -1;
	for (size_t i = 0; code == MHD_CONNECTION_NOTIFY_STARTED && i < HTTP_CONNECTIONS; i++) {
		if (h->visit[i].fd >= 0)
			continue;
		h->visit[i] = (struct visit){ .fd = info->connect_fd, .since_ms = clock_ms() };
		*place = &h->visit[i];
		break;
	}
	uv_mutex_unlock(&h->mutex);
}

void http_tick(struct http *h)
{
	uint64_t now_ms = clock_ms();
	uv_mutex_lock(&h->mutex);
	for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
		struct visit *v = &h->visit[i];
		if (v->fd < 0 || v->ended || now_ms - v->since_ms < LIFE_MS)
			continue;
		v->ended = true;
		(void)shutdown(v->fd, SHUT_RDWR);
	}
	uv_mutex_unlock(&h->mutex);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void on_log(void *data, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* What it says may have been a peer's. */
static void on_log(void *data, const char *format, va_list args)
{
	char text[LOG_ROOM];
	char escaped[LOG_ESCAPED];
	(void)data;
	int len = vsnprintf(text, sizeof(text), format, args);
	if (len <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	log_debug("http", "what=\"%s\"", log_escape(slice_text(text), escaped));
}

static bool is_loopback(const struct listen_address *at)
{
	struct address a;
	static const uint8_t one[16] = { [15] = 1 };
	if (!address_parse(slice_text(at->host), &a))
		return false;
	return a.version == 4 ? a.octets[0] == 127 : memcmp(a.octets, one, sizeof(one)) == 0;
}

/* Its thread is begun where no signal is let through, which it inherits. */
static int start(struct http *h, int fd)
{
	sigset_t before;
	thread_block_signals(&before);
	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_SECS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_UNESCAPE_CALLBACK, on_escapes, NULL, MHD_OPTION_END);
	int error = h->daemon == NULL ? -errno : 0;
	thread_unblock_signals(&before);
	/* It has closed the socket when it failed. */
	return error == 0 || h->daemon != NULL ? error : -EIO;
}

static struct http *http_new(const struct listen_address *at, const struct http_route *routes,
			     struct board *board)
{
	struct http *h = calloc(1, sizeof(*h));
	if (h == NULL || uv_mutex_init(&h->mutex) != 0) {
		free(h);
		return NULL;
	}
	h->routes = routes;
	h->board = board;
	h->loopback = is_loopback(at);
	for (size_t i = 0; i < HTTP_CONNECTIONS; i++)
		h->visit[i].fd = -1;
	return h;
}

int http_open(struct http **h, const struct listen_address *at, const struct http_route *routes,
	      struct board *board)
{
	struct http *new = http_new(at, routes, board);
	int fd = new == NULL ? -ENOMEM : sockets_listen(at, new->address);
	int error = fd < 0 ? fd : start(new, fd);
	if (error == 0) {
		*h = new;
		log_info("http", "listening address=%s", new->address);
		return 0;
	}
	log_error("http", "cannot listen option=\"--http %s\" error=\"%s\"", at->text,
		  error_text(error));
	http_close(&new);
	return error;
}

const char *http_address(const struct http *h)
{
	return h->address;
}

void http_close(struct http **h)
{
	struct http *old = *h;
	*h = NULL;
	if (old == NULL)
		return;
	if (old->daemon != NULL)
		MHD_stop_daemon(old->daemon);
	for (size_t i = 0; i < ROUTES_MOST; i++)
		keep(&old->kept[i], NULL, 0, 0);
	uv_mutex_destroy(&old->mutex);
	free(old);
}
