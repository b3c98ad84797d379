/* SPDX-License-Identifier: MIT */
/*
 * dlclose PLUGIN: opens it, uses it in this thread and in new ones, and closes it, a thousand
 * times. Some of the threads live until after the last time. PLUGIN is libsamara.so, or a module
 * that libsamara.a was linked into.
 */
#define SAMARA_NO_LINUX_NAMES
#include <samara/maple_tree.h>

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#define ROUNDS 1000
#define STAYING 8  /* threads that go on living */
#define NAPPING 20 /* rounds that leave a worker time to wake up */

struct user {
	void *library;
	const char *failure;
	sem_t *until; /* before it ends; NULL: at once */
};

static sem_t used, end;

static const char *use(void *library)
{
	struct maple_tree tree;
	int (*store)(struct maple_tree *, unsigned long, void *, gfp_t);
	void *(*erase)(struct maple_tree *, unsigned long);
	void (*destroy)(struct maple_tree *);

	*(void **)&store = dlsym(library, "samara_mtree_store");
	*(void **)&erase = dlsym(library, "samara_mtree_erase");
	*(void **)&destroy = dlsym(library, "samara_mtree_destroy");
	if (!store || !erase || !destroy)
		return "a symbol is missing";
	/* Under readers nodes are freed later: there is a worker then. */
	samara_mt_init_flags(&tree, MT_FLAGS_USE_RCU);
	for (unsigned long i = 0; i < 100; i++) {
		if (store(&tree, i * 3, &tree, GFP_KERNEL))
			return "store failed";
	}
	for (unsigned long i = 0; i < 100; i++) {
		if (erase(&tree, i * 3) != &tree)
			return "erase failed";
	}
	destroy(&tree);
	return NULL;
}

static void *thread(void *arg)
{
	struct user *user = arg;

	user->failure = use(user->library);
	sem_post(&used);
	if (user->until)
		sem_wait(user->until);
	return NULL;
}

static int round_of(const char *path, int i, struct user *user, pthread_t *id)
{
	const struct timespec nap = { .tv_nsec = 3000000 };
	const char *failure;

	user->until = i < STAYING ? &end : NULL;
	user->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!user->library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	failure = use(user->library);
	if (pthread_create(id, NULL, thread, user))
		return 2;
	sem_wait(&used);
	if (i % 2 && !user->until)
		pthread_join(*id, NULL);
	if (dlclose(user->library)) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	if (i < NAPPING)
		nanosleep(&nap, NULL);
	if (!(i % 2) && !user->until)
		pthread_join(*id, NULL); /* ends after the library was closed */
	failure = failure ? failure : user->failure;
	if (failure)
		fprintf(stderr, "%s: %s in round %d\n", path, failure, i);
	return failure ? 1 : 0;
}

int main(int argc, char **argv)
{
	static struct user users[ROUNDS];
	pthread_t ids[ROUNDS];

	if (argc != 2 || sem_init(&used, 0, 0) || sem_init(&end, 0, 0))
		return 2;
	for (int i = 0; i < ROUNDS; i++) {
		int failed = round_of(argv[1], i, &users[i], &ids[i]);

		if (failed)
			return failed;
	}
	for (int i = 0; i < STAYING; i++)
		sem_post(&end);
	for (int i = 0; i < STAYING; i++)
		pthread_join(ids[i], NULL);
	return 0;
}
