/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions of glibc and of libevent, which memcached calls: "stats" says another pid,
 * nineteen do the same as before. read, sendmsg and strtoul run in every "set".
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <ugraft/patch.h>

#define LIBC "libc.so.6"
#define EVENT "libevent-2.1.so.7"

struct event;
struct timeval;

long syscall(long number, ...);
long __strtol_internal(const char *s, char **end, int base, int group);
unsigned long __strtoul_internal(const char *s, char **end, int base, int group);
int event_add_nolock_(struct event *ev, const struct timeval *tv, int absolute);
int event_del_nolock_(struct event *ev, int blocking);
void event_active_nolock_(struct event *ev, int res, short ncalls);

enum { EVENT_DEL_AUTOBLOCK = 2 };

/* As small as the functions it stands for: syscall() would change more registers. */
static inline long ask(long number)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(number) : "rcx", "r11", "memory");
	return ret;
}

int new_getpid(void)
{
	return 424242;
}

ssize_t new_read(int fd, void *buf, size_t n)
{
	return syscall(SYS_read, fd, buf, n);
}

ssize_t new_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return syscall(SYS_sendmsg, fd, msg, flags);
}

long new_strtol(const char *s, char **end, int base)
{
	return __strtol_internal(s, end, base, 0);
}

unsigned long new_strtoul(const char *s, char **end, int base)
{
	return __strtoul_internal(s, end, base, 0);
}

int new_getppid(void)
{
	return (int)ask(SYS_getppid);
}

unsigned int new_getuid(void)
{
	return (unsigned int)ask(SYS_getuid);
}

unsigned int new_geteuid(void)
{
	return (unsigned int)ask(SYS_geteuid);
}

unsigned int new_getgid(void)
{
	return (unsigned int)ask(SYS_getgid);
}

unsigned int new_getegid(void)
{
	return (unsigned int)ask(SYS_getegid);
}

/* As in the C locale, which memcached has. */
int new_isdigit(int c)
{
	return c >= '0' && c <= '9';
}

int new_isalpha(int c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

int new_isalnum(int c)
{
	return new_isalpha(c) || new_isdigit(c);
}

int new_isspace(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int new_tolower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 0x20 : c;
}

int new_toupper(int c)
{
	return c >= 'a' && c <= 'z' ? c - 0x20 : c;
}

/* The bases of memcached have no locks. */
int new_event_add(struct event *ev, const struct timeval *tv)
{
	return event_add_nolock_(ev, tv, 0);
}

int new_event_del(struct event *ev)
{
	return event_del_nolock_(ev, EVENT_DEL_AUTOBLOCK);
}

void new_event_active(struct event *ev, int res, short ncalls)
{
	event_active_nolock_(ev, res, ncalls);
}

int new_ascii_strcasecmp(const char *a, const char *b)
{
	for (;; a++, b++) {
		int ca = new_tolower((unsigned char)*a), cb = new_tolower((unsigned char)*b);

		if (ca != cb)
			return ca < cb ? -1 : 1;
		if (!ca)
			return 0;
	}
}

UG_PATCH(memcached-twenty, .description = "stats says another pid, and nineteen more");
UG_FUNC(LIBC, getpid, new_getpid, .aliases_ok = 1);
UG_FUNC(LIBC, read, new_read, .aliases_ok = 1);
UG_FUNC(LIBC, sendmsg, new_sendmsg, .aliases_ok = 1);
UG_FUNC(LIBC, strtol, new_strtol, .aliases_ok = 1);
UG_FUNC(LIBC, strtoul, new_strtoul, .aliases_ok = 1);
UG_FUNC(LIBC, getppid, new_getppid, .aliases_ok = 1);
UG_FUNC(LIBC, getuid, new_getuid, .aliases_ok = 1);
UG_FUNC(LIBC, geteuid, new_geteuid, .aliases_ok = 1);
UG_FUNC(LIBC, getgid, new_getgid, .aliases_ok = 1);
UG_FUNC(LIBC, getegid, new_getegid, .aliases_ok = 1);
UG_FUNC(LIBC, isdigit, new_isdigit, .aliases_ok = 1);
UG_FUNC(LIBC, isalpha, new_isalpha, .aliases_ok = 1);
UG_FUNC(LIBC, isalnum, new_isalnum, .aliases_ok = 1);
UG_FUNC(LIBC, isspace, new_isspace, .aliases_ok = 1);
UG_FUNC(LIBC, tolower, new_tolower, .aliases_ok = 1);
UG_FUNC(LIBC, toupper, new_toupper, .aliases_ok = 1);
UG_FUNC(EVENT, event_add, new_event_add);
UG_FUNC(EVENT, event_del, new_event_del);
UG_FUNC(EVENT, event_active, new_event_active);
UG_FUNC(EVENT, evutil_ascii_strcasecmp, new_ascii_strcasecmp);
