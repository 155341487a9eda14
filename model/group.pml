/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group.pml - one patch for several processes that must agree (shared memory)
 *
 * What transition.pml says of one process is taken for granted: a transition is recorded
 * (word ALL), committed by one store, complete some time later, or taken back before its
 * commit. Here several of them are one: each record carries the write-ahead intent, the list
 * of the members. The first commit decides; recovery from any member rolls forward if a
 * living member has committed, else it takes all back (or begins again).
 *
 * Sizes (all -D):  M members   NC controllers at work at once   NDEATH deaths of a controller
 *   NEXIT exits of a member, at any moment
 *   WINDOW  asserts that members never run in disagreement: not so after a death
 * Seeded mistakes: T1 to T5, see README.md.
 */

#ifndef M
#define M 2
#endif
#ifndef NC
#define NC 2
#endif
#ifndef NDEATH
#define NDEATH 0
#endif
#ifndef NEXIT
#define NEXIT 0
#endif

/* The registry of a member. */
#define NONE 0                             /* nothing of the group in it */
#define OPEN 1                             /* recorded with the intent, word ALL */
#define COMMITTED 2
#define DONE 3                             /* complete; the intent is still there */
#define BACK 4                             /* taken back; the intent is still there */
byte rec[M];
bool live[M];
byte stopped[M];                           /* by which controller, 0: runs */
byte lock[M];                              /* the controller that holds it, 0: none */

/* For the properties only: what became of a member. */
#define YES 1
#define NO 2
byte fate[M];
byte deaths, exits;
byte ended;
bool begun;                                /* the operation has been started once */

#define LOCKED(m) (lock[m]==me)
#define GONE(m) (!live[m])
#define MINE(m) (stopped[m]==me)
#define LEFT(m) (live[m] && rec[m]!=NONE)
#define ANYLEFT (LEFT(0) || LEFT(1) || LEFT(M-1))
#define UNLOCK m = 0; do \
	:: m < M -> if :: LOCKED(m) -> lock[m] = 0 :: else fi; m++ \
	:: else -> break od; m = 0

/* P1: no two living members end differently. */
inline check_fates()
{
	i = 0; yes = 0; no = 0;
	do
	:: i < M ->
		yes = yes | (live[i] && fate[i]==YES);
		no = no | (live[i] && fate[i]==NO);
		i++
	:: else -> break
	od;
	assert(!(yes && no));
	i = 0; yes = 0; no = 0
}

/* P2: who runs while another one is on the other side of the commit? */
inline check_running()
{
	i = 0; yes = 0; no = 0;
	do
	:: i < M ->
		yes = yes | (live[i] && !stopped[i] && (rec[i]==COMMITTED || rec[i]==DONE));
		no = no | (live[i] && !stopped[i] && rec[i]==OPEN);
		i++
	:: else -> break
	od;
#ifdef WINDOW
	assert(!(yes && no) || 0);
#else
	assert(!(yes && no) || deaths>0);
#endif
	i = 0; yes = 0; no = 0
}

#if NDEATH>0
#define MAYDIE if :: skip :: atomic { deaths < NDEATH -> deaths++; goto dead } fi
#else
#define MAYDIE skip
#endif

/* One step for each living member, a death possible before each. */
#define EACH(step) m = 0; do \
	:: m < M -> MAYDIE; if :: atomic { live[m] -> step } :: GONE(m) fi; m++ \
	:: else -> break od; m = 0

proctype Controller(byte me)
{
	byte m, i;
	bool yes, no, undecided, forward, fresh;
begin:
	do
	/* the operation itself, and recovery: both hold the locks of all members, in one order */
	:: !begun || ANYLEFT ->
#ifdef T4                                  /* mistake: each member is locked only while it is written */
#define WITH(m_) lock[m_]==0
#else
		m = 0;
		do
		:: m < M -> atomic { lock[m]==0 -> lock[m] = me }; m++
		:: else -> break
		od;
		m = 0;
#define WITH(m_) LOCKED(m_)
#endif
#ifdef T3                                  /* mistake: a member forgets the group when it is complete itself */
#define DECIDED NONE
#else
#define DECIDED COMMITTED
#endif
		MAYDIE;
		/* what has happened? */
		d_step { forward = 0; yes = 0; no = 0; undecided = 0; i = 0;
			do
			:: i < M ->
				yes = yes | (live[i] && (rec[i]==COMMITTED || rec[i]==DONE));
				no = no | (live[i] && rec[i]==BACK);
				undecided = undecided | (live[i] && rec[i]==OPEN);
				i++
			:: else -> break
			od; i = 0 };
#ifdef T1                                  /* mistake: each member is recovered by what it says itself */
		if
		:: begun ->
			EACH(if :: rec[m]==OPEN -> rec[m] = BACK; fate[m] = NO; check_fates()
				:: rec[m]==COMMITTED -> rec[m] = DONE
				:: else fi);
			goto forget
		:: else
		fi;
#endif
		if
		:: yes -> forward = 1
		:: !yes && no -> forward = 0
		:: !yes && !no && !undecided && begun -> goto over         /* somebody else has done it */
		/* nobody has decided: begin (again), or take back what there is */
		:: !yes && !no && !begun -> forward = 1; begun = 1; fresh = 1
		:: !yes && !no && begun && undecided -> forward = 1
		:: !yes && !no && begun && undecided -> forward = 0
		fi;
		if
		:: forward ->
#ifdef T2                                  /* mistake: recorded and committed one after the other */
			EACH(stopped[m] = me);
			EACH(if :: rec[m]==OPEN || (fresh && rec[m]==NONE) -> rec[m] = COMMITTED; fate[m] = YES; check_fates() :: else fi);
#else
			/* the intent is in every registry before the first commit */
			if
			:: !yes -> EACH(if :: rec[m]==NONE && WITH(m) -> rec[m] = OPEN :: else fi)
			:: else
			fi;
#ifdef T5                                  /* mistake: they are stopped one after the other */
#define NEXT(m_) stopped[m_] = me
#else
			EACH(stopped[m] = me);
#define NEXT(m_) skip
#endif
			m = 0;
			do
			:: m < M -> MAYDIE; NEXT(m);
				atomic { if
				:: live[m] && rec[m]==OPEN && WITH(m) -> rec[m] = DECIDED; fate[m] = YES; check_fates()
				:: else
				fi };
#ifdef T5
				atomic { stopped[m] = 0; check_running() };
#endif
				m++
			:: else -> break
			od; m = 0;
#endif
			MAYDIE;
			atomic { m = 0;
				do
				:: m < M -> if :: MINE(m) -> stopped[m] = 0 :: else fi; m++
				:: else -> break
				od; m = 0; check_running() };
			EACH(if :: rec[m]==COMMITTED -> rec[m] = DONE :: else fi)
		:: else ->
			EACH(if :: rec[m]==OPEN && WITH(m) -> rec[m] = BACK; fate[m] = NO; check_fates() :: else fi)
		fi;
forget:
		/* only now, all members being at their end, the intents go */
		EACH(if :: rec[m]==DONE || rec[m]==BACK -> rec[m] = NONE :: else fi);
		MAYDIE;
		goto over
	:: begun && !ANYLEFT -> goto over
	od;
dead:
	atomic { m = 0;
		do
		:: m < M -> if :: MINE(m) -> stopped[m] = 0 :: else fi; m++
		:: else -> break
		od;
		UNLOCK; forward = 0; fresh = 0; undecided = 0; yes = 0; no = 0; check_running() };
	goto begin;
over:
	atomic { UNLOCK; ended++ }
}

#if NEXIT>0
active proctype Exits()
{
	byte m;
	do
	:: exits < NEXIT -> atomic {
		if
		:: m = 0
		:: m = 1
		:: m = M-1
		fi;
		if
		:: live[m] -> live[m] = 0; stopped[m] = 0; exits++; m = 0
		:: else -> m = 0
		fi }
	:: break
	od
}
#endif

init
{
	byte m, i;
	bool yes, no;
	atomic {
		do
		:: m < M -> live[m] = 1; m++
		:: else -> break
		od;
		m = 1;
		do
		:: m <= NC -> run Controller(m); m++
		:: else -> break
		od; m = 0
	};
	/* P3: it comes to an end, and then all that live are on one side, with nothing left open */
	atomic { ended==NC -> i = 0;
		do
		:: i < M ->
			assert(!live[i] || rec[i]==NONE);
			yes = yes | (live[i] && fate[i]==YES);
			no = no | (live[i] && fate[i]!=YES);
			i++
		:: else -> break
		od;
		assert(!(yes && no)) }
}
