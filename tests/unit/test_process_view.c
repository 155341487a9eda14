// SPDX-License-Identifier: GPL-2.0-or-later
/* What lib/process shows and changes of a process without stopping it. */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "process_help.h"

static void test_open_errors(void **state)
{
	struct ug_proc p;
	pid_t pid = spawn(victim_idle, 0);

	assert_int_equal(ug_proc_open(pid, &p, &e), 0);
	assert_int_equal(ug_proc_check(&p, &e), 0);
	assert_int_equal(ug_proc_check_shadow_stack(&p, &e), 0);
	end(pid);
	assert_int_equal(ug_proc_check(&p, &e), -UG_E_GONE);
	ug_proc_close(&p);
	assert_int_equal(ug_proc_open(pid, &p, &e), -UG_E_GONE);
	assert_int_equal(ug_proc_open(2, &p, &e), -UG_E_UNSUPPORTED);	/* kthreadd */
	assert_int_equal(ug_proc_open(-1, &p, &e), -EINVAL);
}

static void test_memory(void **state)
{
	static const char text[] = "a string";
	size_t page = UG_PAGE_SIZE;
	char *m = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[3 * UG_PAGE_SIZE];
	ug_raddr_t a = (ug_raddr_t)(uintptr_t)m;
	struct ug_proc p;
	pid_t pid;

	assert_true(m != MAP_FAILED);
	memset(m, 0x5a, page);
	memcpy(m + page - sizeof(text), text, sizeof(text));
	memset(m + 2 * page, 0x33, page);
	mprotect(m, page, PROT_READ);
	munmap(m + 4 * page, page);
	pid = spawn(victim_idle, 0);
	msleep(20);
	assert_int_equal(ug_proc_open(pid, &p, &e), 0);

	assert_int_equal(ug_proc_write(&p, a + 8, "xyz", 3, &e), 0);
	assert_int_equal(ug_proc_read(&p, a + 7, buf, 5, &e), 0);
	assert_memory_equal(buf, "Zxyz\x5a", 5);
	assert_int_equal(m[8], 0x5a);
	assert_int_equal(ug_proc_read(&p, a + 4 * page - 2, buf, 4, &e), -UG_E_UNREADABLE);
	assert_int_equal(ug_proc_write(&p, a + 4 * page, buf, 4, &e), -UG_E_UNWRITABLE);
	assert_int_equal(ug_proc_read(&p, ~0ULL - 4, buf, 4, &e), -UG_E_UNREADABLE);

	assert_int_equal(ug_proc_read_str(&p, a + page - sizeof(text), buf, sizeof(buf), &e), 0);
	assert_string_equal(buf, text);
	assert_int_equal(ug_proc_read_str(&p, a + page - sizeof(text), buf, 4, &e),
			 -UG_E_UNREADABLE);

	memset(buf, 1, sizeof(buf));
	assert_int_equal(ug_proc_read_present(&p, a + page / 2, buf, 2 * page, true, &e), 0);
	assert_int_equal(buf[0], 0x5a);
	assert_int_equal(buf[page / 2], 0);		/* absent: zero */
	assert_int_equal(buf[page + page / 2], 0x33);
	assert_int_equal(ug_proc_read_present(&p, a + page / 2, buf, 2 * page, false, &e),
			 -UG_E_UNREADABLE);
	end(pid);
	assert_int_equal(ug_proc_read(&p, a, buf, 4, &e), -UG_E_GONE);
	ug_proc_close(&p);
	munmap(m, 8 * page);
}

/* Memory in which whoever touches a page waits for somebody who never comes. */
static void victim_faults(long pages)
{
	size_t size = (size_t)pages * UG_PAGE_SIZE;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	m[0] = 0x77;
	reg.range = (struct uffdio_range){ (uintptr_t)m, size };
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		m = NULL;
	sh->spins[0] = (uintptr_t)m;
	victim_idle(0);
}

/* What is not there counts as zero, and is not touched: its handler may be what we have stopped. */
static void test_memory_that_waits(void **state)
{
	char buf[3 * UG_PAGE_SIZE];
	struct ug_proc p;

	target = spawn_victim(victim_faults, 4, 1);
	if (!sh->spins[0]) {
		end(target);
		print_message("# SKIPPED: no userfaultfd here\n");
		skip();
	}
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	memset(buf, 1, sizeof(buf));
	alarm(20);	/* a hang is a failure, too */
	assert_int_equal(ug_proc_read_present(&p, sh->spins[0], buf, sizeof(buf), true, &e), 0);
	assert_int_equal(buf[0], 0x77);
	for (size_t i = 1; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	assert_int_equal(ug_proc_read_present(&p, sh->spins[0], buf, sizeof(buf), false, &e),
			 -UG_E_UNREADABLE);
	alarm(0);
	ug_proc_close(&p);
	end(target);
}

static void test_maps(void **state)
{
	char dir[] = "/tmp/ug-maps-XXXXXX", path[64];
	size_t page = UG_PAGE_SIZE;
	const struct ug_map *m;
	struct ug_maps maps;
	struct ug_proc p;
	ug_raddr_t a;
	char *mem;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a\nb c", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)(4 * page)) == 0);
	mem = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mem != MAP_FAILED);
	mprotect(mem + page, page, PROT_READ);
	mprotect(mem + 3 * page, page, PROT_NONE);
	a = (ug_raddr_t)(uintptr_t)mem;

	assert_int_equal(ug_proc_open(getpid(), &p, &e), 0);
	assert_int_equal(ug_maps_read(&p, &maps, &e), 0);
	m = ug_maps_find(&maps, a + page + 5);
	assert_non_null(m);
	assert_int_equal(m->start, a + page);
	assert_int_equal(m->end, a + 2 * page);
	assert_int_equal(m->offset, page);
	assert_int_equal(m->prot, PROT_READ);
	assert_true(m->shared && m->inode != 0);
	assert_string_equal(m->name, path);
	assert_int_equal(ug_maps_readable_end(&maps, a + 10), a + 3 * page);
	assert_int_equal(ug_maps_readable_start(&maps, a + 2 * page), a);
	assert_int_equal(ug_maps_readable_end(&maps, a + 3 * page), a + 3 * page);
	assert_null(ug_maps_find(&maps, 16));
	for (size_t i = 1; i < maps.n; i++)
		assert_true(maps.v[i].start >= maps.v[i - 1].end);
	ug_maps_free(&maps);
	ug_proc_close(&p);
	munmap(mem, 4 * page);
	close(fd);
	unlink(path);
	rmdir(dir);
}

#define GIB (1ULL << 30)

static void test_room(void **state)
{
	char none[] = "", heap[] = "[heap]", stack[] = "[stack]";
	struct ug_map pie[] = {
		{ .start = 0x550000000000, .end = 0x550000010000, .name = none },
		{ .start = 0x550000020000, .end = 0x550000030000, .name = heap },
		{ .start = 0x7ffff0000000, .end = 0x7ffff0010000, .name = stack },
	};
	struct ug_map exec[] = {
		{ .start = 0x400000, .end = 0x500000, .name = none },
		{ .start = 0x600000, .end = 0x700000, .name = heap },
		{ .start = 2 * GIB - 0x3000, .end = 2 * GIB, .name = none },
	};
	struct ug_map full[] = { { .start = 65536, .end = 0x7ffffffff000, .name = none } };
	struct ug_maps maps = { .v = pie, .n = 3 };
	ug_raddr_t at, next;

	assert_int_equal(ug_maps_find_room(&maps, pie[0].start, pie[0].end, 0x2000, 0, &at, &e), 0);
	assert_int_equal(at, pie[0].start - 0x2000);
	assert_int_equal(ug_maps_find_room(&maps, pie[0].start, pie[0].end, 0x2000, 1, &next, &e),
			 0);
	assert_true(next + 0x2000 <= at);
	for (unsigned int i = 0; i < 40; i++) {
		if (ug_maps_find_room(&maps, pie[0].start, pie[0].end, 0x2000, i, &at, &e) < 0)
			break;
		assert_true(at != pie[1].end);
		assert_true(at + 0x2000 <= pie[0].start + 2 * GIB - 65536);
		assert_true(at >= pie[0].end - 2 * GIB + 65536);
	}
	maps = (struct ug_maps){ .v = exec, .n = 3 };
	assert_int_equal(ug_maps_find_room(&maps, 0x400000, 0x500000, 0x1000, 0, &at, &e), 0);
	assert_int_equal(at, 2 * GIB - 0x4000);
	maps = (struct ug_maps){ .v = full, .n = 1 };
	assert_int_equal(ug_maps_find_room(&maps, 65536, 131072, 0x1000, 0, &at, &e),
			 -UG_E_NO_ROOM);
}

static void hold_lock(long arg)
{
	struct ug_proc p;

	CHECK(ug_proc_open(target, &p, &e) == 0);
	CHECK(ug_proc_lock(&p, &e) == 0);
	sh->held = 1;
	for (;;)
		pause();
}

static void test_lock(void **state)
{
	char dir[] = "/tmp/ug-lock-XXXXXX";
	struct ug_proc p, q;
	pid_t owner;

	assert_non_null(mkdtemp(dir));
	setenv("UGRAFT_RUNTIME_DIR", dir, 1);
	target = spawn_victim(victim_idle, 0, 1);
	owner = spawn(hold_lock, 0);
	for (int i = 0; i < 2000 && !sh->held; i++)
		msleep(1);
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	assert_int_equal(ug_proc_open(target, &q, &e), 0);
	assert_int_equal(ug_proc_lock(&p, &e), -UG_E_LOCKED);
	assert_true(ug_proc_locked(&p));
	end(owner);
	assert_false(ug_proc_locked(&p));
	assert_int_equal(ug_proc_lock(&p, &e), 0);
	assert_int_equal(ug_proc_lock(&p, &e), 0);
	assert_int_equal(ug_proc_lock(&q, &e), -UG_E_LOCKED);
	assert_true(ug_proc_locked(&q));
	assert_true(rmdir(dir) < 0);
	ug_proc_unlock(&p);
	assert_false(ug_proc_locked(&q));
	assert_int_equal(ug_proc_lock(&q, &e), 0);
	ug_proc_close(&q);
	ug_proc_close(&p);
	assert_int_equal(mkdir(dir, 0777), -1);
	chmod(dir, 0777);
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	assert_int_equal(ug_proc_lock(&p, &e), -EPERM);
	ug_proc_close(&p);
	unsetenv("UGRAFT_RUNTIME_DIR");
	assert_int_equal(rmdir(dir), 0);
	end(target);
}

static void test_task(void **state)
{
	struct ug_task_syscall sc;
	struct ug_tasks tasks;
	struct ug_proc p;
	int in_e = 0, with_timeout = 0;

	target = spawn_victim(victim_class_e, 0, 5);
	assert_int_equal(ug_proc_open(target, &p, &e), 0);
	assert_int_equal(ug_tasks_list(&p, &tasks, &e), 0);
	assert_int_equal(tasks.n, 5);
	assert_int_equal(ug_tasks_count(&p), 5);
	for (size_t i = 0; i < tasks.n; i++) {
		uint64_t before, after, ms = 0;

		assert_int_equal(tasks.v[i].state, 'S');
		assert_false(ug_task_skipped(&tasks.v[i]));
		assert_int_equal(ug_task_switches(&p, tasks.v[i].tid, &before, &e), 0);
		assert_int_equal(ug_task_syscall(&p, tasks.v[i].tid, &sc, &e), 0);
		assert_int_equal(ug_task_switches(&p, tasks.v[i].tid, &after, &e), 0);
		assert_true(before == after && !sc.running && sc.nr >= 0);
		in_e += ug_syscall_class_e(sc.nr, sc.args[1]);
		if (ug_syscall_timeout(&p, &sc, &ms)) {
			assert_int_equal(ms, 1000000);
			with_timeout++;
		}
	}
	assert_int_equal(in_e, 4);
	assert_int_equal(with_timeout, 2);	/* sigtimedwait; recv by its socket's option */
	assert_false(ug_syscall_class_e(SYS_close, 0));
	assert_false(ug_syscall_class_e(SYS_io_uring_enter, 1));
	assert_true(ug_syscall_transfer(SYS_write));
	ug_tasks_free(&tasks);
	ug_proc_close(&p);
	end(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_errors), cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_that_waits),
		cmocka_unit_test(test_maps),	    cmocka_unit_test(test_room),
		cmocka_unit_test(test_lock),	    cmocka_unit_test(test_task),
	};

	return map_shared() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
