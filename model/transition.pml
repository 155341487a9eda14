/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transition.pml - how threads are moved from old to new versions of functions
 *
 * The protocol of lib/engine in Promela: the order of every store that a controller makes in
 * a target, with its death possible between any two of them, and threads of the target that
 * may be preempted before every step. README.md says what is abstracted away, how the steps
 * map to the engine, how to run it, what came out.
 *
 * Sizes (all -D):  N thread slots   D frames per thread   NP thread pointers
 *   OP1 OP2 OP3    script: LOAD1, LOAD2, LOAD3 (stacked), REPL2, REPL3 (atomic replace),
 *                  UNLOAD (the newest), UNLOW (patch 1, below patch 2)
 *   NREV NFORCE NDEATH NFORK   how many reversals, forces, deaths of a controller, forks
 *   SIGNALS  handlers may start on top of a gate or a body
 *   CHURN    threads exit and are born, with recycled pointers
 *   SHARE    a thread may create one that shares its pointer (raw clone)
 *   MIGRATE  an activation may be taken over by the other thread
 *   CONTEXTS 1: an activation may be suspended, on no thread's stack, and resumed by any
 *            thread; 2: also one that was preempted inside a gate
 *   ATONCE   no table: all threads and suspended contexts are switched in one stop
 *   SHORT    the entry of f is a 2-byte jump to a 5-byte jump in padding
 *   VERDICT  a thread that has not run since a failed check is not stopped again
 *   LATEFREE what a full stop found empty is unmapped later
 *   DRAIN    at some moment threads stop making calls; everything must then finish (P3)
 *   NOBEFORE NOAFTER  no preemption in a gate before the word is read; between that and the lookup
 * Seeded mistakes: S1 to S22, see README.md.
 */

#ifndef N
#define N 2
#endif
#ifndef D
#define D 2
#endif
#ifndef NP
#define NP N
#endif
#ifndef NREV
#define NREV 0
#endif
#ifndef NFORCE
#define NFORCE 0
#endif
#ifndef NDEATH
#define NDEATH 0
#endif
#ifndef NFORK
#define NFORK 0
#endif
#ifndef CONTEXTS
#define CONTEXTS 0
#endif

/* ---- patches: 1 = {f,g}   2 = {f}: lacks g, so replacing 1 needs a nop for g   3 = {f,g} ---- */
#define F 0
#define G 1
#define LOAD1 1
#define LOAD2 2                            /* stacked on what is there */
#define LOAD3 3
#define REPL2 6                            /* atomic replace */
#define REPL3 7
#define UNLOAD 8                           /* the newest */
#define UNLOW 9                            /* patch 1, which is not the newest */
#ifndef OP1
#define OP1 LOAD1
#endif
#ifndef OP2
#define NOPS 1
#define OP2 0
#define OP3 0
#else
#ifndef OP3
#define NOPS 2
#define OP3 0
#else
#define NOPS 3
#endif
#endif
#define OP(n) ((n)==0 -> OP1 : ((n)==1 -> OP2 : OP3))

#define BIT(x)     (1<<(x))
#define HAS(m,x)   (((m)>>(x)) & 1)
#define PATCHFNS(p) ((p)==2 -> BIT(F) : BIT(F)|BIT(G))
/* the version of function x when the set m of patches is in force (m: bit p = patch p) */
#define PF(m)   (HAS(m,3) -> 3 : (HAS(m,2) -> 2 : (HAS(m,1) -> 1 : 0)))
#define PG(m)   (HAS(m,3) -> 3 : (HAS(m,1) -> 1 : 0))
#define PV(x,m) ((x)==F -> PF(m) : PG(m))
#define TOPP(m) PF(m)                      /* newest patch of the set: every patch has f */
#define NEEDED(x,m) ((x)==F -> (m)!=0 : HAS(m,1)||HAS(m,3))  /* does a patch of the set have x? */

/* ---- transitions (records in the registry); number 0 means none ---- */
#define MT (NOPS+NREV+1)
#define ALL 1                              /* word: nobody is switched, take `before` */
#define TAB 2                              /* word: look into the table */
#define NUL 3                              /* word: everybody is switched, take `to` */
byte word[MT];
byte tab[MT];                              /* bit X: pointer X is not switched yet */
byte frm[MT*2], to[MT*2];                  /* the gate instance of transition t for function x: [t*2+x] */
byte bef[MT*2];                            /* what the entry held before: a version, or 8+t */
byte cov[MT];                              /* functions concerned */
byte par[MT];                              /* the transition this one reverses */
byte oldl[MT], newl[MT];                   /* patches in force before and after */
byte open;                                 /* bit t: the record of transition t says OPEN */
byte gfree[MT];                            /* instances, word and table: 1 condemned, 2 unmapped */
byte vfree[2];                             /* bit v: version v of function x is condemned or not mapped; */
byte vgone[2];                             /* not mapped. Version 0: the displaced instructions */
byte entry[2];                             /* first bytes of f, g: a version, or 8+t: the gate of t; */
                                           /* 0: the original bytes */
byte cur, nt, loaded, prep, opn;           /* newest open transition, records, patches enabled and */
                                           /* prepared, script */
byte nrev, nforce, deaths, nfork;
#ifdef SHORT
#define PADDING 31                         /* as a target: the padding of f */
byte far = PADDING;                        /* the jump in the padding of f, or the padding itself */
#endif
#ifdef VERDICT
byte stands;                               /* bit i: checked, found unsafe, has not run since */
#endif
bool fcur;                                 /* the last transition was forced (only S4 reads it) */
#define NONE 15                            /* no target: function not covered */
#define I(t,x) ((t)*2+(x))
#ifdef S1                                  /* mistake: one word and table for all transitions */
#define W(t) 1
#else
#define W(t) (t)
#endif

/* ---- threads ---- */
#define NOFRAME 0
#define READ  1                            /* in a gate, before reading the word */
#define LOOK  2                            /* in a gate, word said table, before the lookup */
#define JFROM 3                            /* in a gate, decided, before the jump */
#define JTO   4
#define JBEF  5
#define PAD   6                            /* at the jump in the padding (SHORT) */
#define BODY  7                            /* in a version of the function */
#define DISP  8                            /* in the displaced instructions of the original */
bool live[N], stopped[N], exempt[N];       /* exempt: had a frame when somebody forced */
#if CONTEXTS
#define NS (N+1)                           /* stacks: of the threads, and of a suspended context */
#else
#define NS N
#endif
byte ptr[N], dp[NS], sig[NS];              /* thread pointer, frames, frame where a handler began */
byte pc[NS*D], fn[NS*D], val[NS*D];        /* val: the transition (gates) or version (bodies) */
byte occ[MT*2], use[8];                    /* frames in a gate instance; in a version, [x*4+v] */
byte gone;                                 /* bit X: the thread entered for X has exited (only S3 reads it) */
bool stopall, drain, over;
hidden byte a, b, c, ok, h, k;

#define TOP(i) ((i)*D+dp[i]-1)
#define MYGATE(i) I(val[TOP(i)],fn[TOP(i)])
#define RUN(i) (live[i] && !stopall && !stopped[i])
#define AT(i,p) (RUN(i) && dp[i]>0 && pc[TOP(i)]==(p))
#if N==2
#define ANY(m)   (m(0) || m(1))
#define ANY1(m,x)   (m(0,x) || m(1,x))
#define ANY2(m,x,t) (m(0,x,t) || m(1,x,t))
#else
#define ANY(m)   (m(0) || m(1) || m(2))
#define ANY1(m,x)   (m(0,x) || m(1,x) || m(2,x))
#define ANY2(m,x,t) (m(0,x,t) || m(1,x,t) || m(2,x,t))
#endif
#define HASX(i,x)   (live[i] && ptr[i]==(x))
#define RUNX(i,x)   (HASX(i,x) && !stopped[i])
#define RUNNING(i)  (live[i] && !stopped[i])
#define BUSY(i)     (dp[i]>0)
#if defined(VERDICT) && !defined(S20)      /* S20, mistake: a thread that ran counts as one that did not */
#define RAN(i)      stands = stands & ~BIT(i)
#else
#define RAN(i)      skip
#endif

/* Is this thread safe for transition t? Every version, the displaced instructions and every
 * gate instance of the functions concerned count, on every frame. The padding does not: its
 * jump leads where the entry leads at that moment. */
#ifdef S4                                  /* mistake: of the versions only the one directly below is looked for */
#define HIT(k,t) (pc[k] && pc[k]!=PAD && HAS(cov[t],fn[k]) && (pc[k]<BODY || val[k]==frm[I(t,fn[k])]))
#else
#define HIT(k,t) (pc[k] && pc[k]!=PAD && HAS(cov[t],fn[k]))
#endif
#define INPADF(k) (pc[k]==PAD)
#if D==2
#define UNSAFE(i,t) (HIT((i)*D,t) || HIT((i)*D+1,t))
#define INPAD(i) (INPADF((i)*D) || INPADF((i)*D+1))
#else
#define UNSAFE(i,t) (HIT((i)*D,t) || HIT((i)*D+1,t) || HIT((i)*D+2,t))
#define INPAD(i) (INPADF((i)*D) || INPADF((i)*D+1) || INPADF((i)*D+2))
#endif
/* Does a suspended context hold anything up? It is found by a search of the memory. */
#if CONTEXTS && !defined(S15)              /* S15, mistake: only threads are looked at */
#define HELD(t) UNSAFE(N,t)
#else
#define HELD(t) 0
#endif
/* Original bytes may come back (target e) only while nobody stands before the padding's jump. */
#if defined(SHORT) && !defined(S16)        /* S16, mistake: nobody looks there */
#define PADFREE(e) ((e)!=0 || !ANY(INPAD))
#else
#define PADFREE(e) 1
#endif
#define XBAD(i,x,t) (HASX(i,x) && UNSAFE(i,t))
#define XSAFE(x,t)  (!ANY2(XBAD,x,t))      /* every live thread whose pointer is x is safe */
#define XOK(x,t)    (!HAS(tab[W(t)],x) || XSAFE(x,t))
#if NP==2
#define ALLX(t) (XOK(0,t) && XOK(1,t))
#else
#define ALLX(t) (XOK(0,t) && XOK(1,t) && XOK(2,t))
#endif

/* ======================= the target ======================= */

/* Frame k begins to execute version v of its function. The original is entered where it always
 * was when the entry holds its bytes (where == BODY), else by its displaced instructions. */
inline enter(i, f_, v, where)
{
	k = f_;
	pc[k] = where; val[k] = v;
	if
	:: where==BODY && v==0
	:: else ->
		use[fn[k]*4+v]++;
		assert(!HAS(vgone[fn[k]], v))                     /* P2: not a freed version */
	fi;
	if
	:: exempt[i]
	:: else ->
		/* P1: one set of patches explains every body on this stack */
		ok = 0; a = 0;
		do
		:: a <= nt ->
			c = 1; b = 0;
			do
			:: b < dp[i] ->
				if
				:: pc[i*D+b]>=BODY && val[i*D+b] != PV(fn[i*D+b], newl[a]) -> c = 0
				:: else
				fi; b++
			:: else -> break
			od;
			ok = ok | c; a++
		:: else -> break
		od;
		assert(ok);
#ifndef NOP4
		assert(cur || v == PV(fn[k], loaded))             /* P4: only what is in force */
#endif
	fi
}

#define GATE_MAPPED(i) assert(gfree[val[TOP(i)]]<2)              /* P2: not a freed gate, word or table */
#define HERE 30                            /* the original bytes are at the entry */
#ifdef SHORT
#define LEADS(x) (entry[x]==0 -> HERE : ((x)==F -> PADDING : entry[x]))
#else
#define LEADS(x) (entry[x]==0 -> HERE : entry[x])
#endif
#define CALL(i,x) h = LEADS(x); dp[i]++; fn[TOP(i)] = x
#define JUMP(i,tgt) GATE_MAPPED(i); h = tgt; occ[MYGATE(i)]--

/* A call or a jump reaches what h says: a gate, a version, the padding. */
inline arrive(i)
{
	RAN(i);
	if
	:: h==HERE -> enter(i, TOP(i), 0, BODY)
#ifdef SHORT
	:: h==PADDING -> pc[TOP(i)] = PAD
#endif
	:: h<8 -> enter(i, TOP(i), h, (h==0 -> DISP : BODY))
	:: h>=8 && h<HERE -> pc[TOP(i)] = READ; val[TOP(i)] = h-8; occ[MYGATE(i)]++;
#ifdef NOBEFORE
		readword(i)
#endif
	fi;
	h = 0
}

/* The gate reads its word once. What it found decides, whatever is written afterwards. */
inline readword(i)
{
	if
	:: word[W(val[TOP(i)])]==NUL -> pc[TOP(i)] = JTO
	:: word[W(val[TOP(i)])]==ALL -> pc[TOP(i)] = JBEF
	:: else -> pc[TOP(i)] = LOOK;
#ifdef NOAFTER
		lookup(i)
#endif
	fi
}

inline lookup(i)
{
	if
	:: HAS(tab[W(val[TOP(i)])], ptr[i]) -> pc[TOP(i)] = JFROM
	:: else -> pc[TOP(i)] = JTO
	fi
}

/* Frames p..p+D-1 are moved to q..q+D-1. */
inline move_stack(p, q)
{
	a = 0;
	do
	:: a < D -> pc[(q)*D+a] = pc[(p)*D+a]; fn[(q)*D+a] = fn[(p)*D+a]; val[(q)*D+a] = val[(p)*D+a];
		pc[(p)*D+a] = 0; fn[(p)*D+a] = 0; val[(p)*D+a] = 0; a++
	:: else -> break
	od;
	dp[q] = dp[p]; dp[p] = 0; sig[q] = sig[p]; sig[p] = 0; a = 0
}


proctype Thread(byte i)
{
end_thread:
	do
	:: atomic {
		if
		/* calls: f or g from outside, g from f */
		:: RUN(i) && !drain && dp[i]==0 -> CALL(i, F)
		:: RUN(i) && !drain && dp[i]==0 -> CALL(i, G)
		:: AT(i,BODY) && !drain && fn[TOP(i)]==F && dp[i]<D -> CALL(i, G)
#ifdef SIGNALS
		:: RUN(i) && !drain && dp[i]>0 && dp[i]<D && !sig[i] -> sig[i] = dp[i]; CALL(i, F)
		:: RUN(i) && !drain && dp[i]>0 && dp[i]<D && !sig[i] -> sig[i] = dp[i]; CALL(i, G)
#endif
		/* the last instruction of a gate */
		:: AT(i,JFROM) -> JUMP(i, frm[MYGATE(i)])
		:: AT(i,JTO)   -> JUMP(i, to[MYGATE(i)])
		:: AT(i,JBEF)  -> JUMP(i, bef[MYGATE(i)])
#ifdef SHORT
		:: AT(i,PAD) -> assert(far!=PADDING); h = far         /* P2: not what is no code of ours */
#endif
		fi;
		d_step { arrive(i) }
	   }
	/* the gate, one step per moment at which preemption matters */
	:: d_step { AT(i,READ) -> GATE_MAPPED(i); RAN(i); readword(i) }
	:: d_step { AT(i,LOOK) -> GATE_MAPPED(i); RAN(i); lookup(i) }
	/* the displaced instructions end with a jump into the original */
	:: d_step { AT(i,DISP) -> RAN(i);
		assert(!HAS(vgone[fn[TOP(i)]], 0));               /* P2 */
		use[fn[TOP(i)]*4]--; pc[TOP(i)] = BODY }
	/* return */
	:: d_step { AT(i,BODY) ->
		RAN(i);
		if
		:: val[TOP(i)] ->
			assert(!HAS(vgone[fn[TOP(i)]], val[TOP(i)])); /* P2 */
			use[fn[TOP(i)]*4+val[TOP(i)]]--
		:: else
		fi;
		pc[TOP(i)] = NOFRAME; fn[TOP(i)] = 0; val[TOP(i)] = 0; dp[i]--;
		if :: sig[i] && dp[i]==sig[i] -> sig[i] = 0 :: else fi;
		if :: dp[i]==0 -> exempt[i] = 0 :: else fi }
#ifdef MIGRATE
	/* an activation in a body here is taken over by the other thread (two threads) */
	:: d_step { AT(i,BODY) && RUN(1-i) && dp[1-i]==0 ->
		move_stack(i, 1-i); exempt[1-i] = exempt[i]; exempt[i] = 0 }
#endif
#if CONTEXTS
	/* a coroutine gives up its thread, or is preempted by a scheduler in a handler; any thread
	 * resumes it, and it carries its own versions */
	:: d_step { RUN(i) && dp[i]>0 && dp[N]==0 && (pc[TOP(i)]==BODY || CONTEXTS>1) && !exempt[i] ->
		move_stack(i, N) }
	:: d_step { RUN(i) && dp[i]==0 && dp[N]>0 -> move_stack(N, i) }
#endif
#ifdef CHURN
	/* exit (not the last thread), and birth with a pointer nobody alive has: the recycled TCB */
	:: d_step { RUN(i) && !drain && dp[i]==0 ->
		live[i] = 0;
		if
		:: ANY(RUNNING) ->
			if :: ANY1(HASX,ptr[i]) :: else -> gone = gone | BIT(ptr[i]) fi;
			ptr[i] = 0
		:: else -> live[i] = 1
		fi }
	:: d_step { !live[i] && !stopall && !drain && ANY(RUNNING) && !ANY1(HASX,0) -> live[i] = 1; ptr[i] = 0 }
	:: d_step { !live[i] && !stopall && !drain && ANY(RUNNING) && !ANY1(HASX,1) -> live[i] = 1; ptr[i] = 1 }
#if NP==3
	:: d_step { !live[i] && !stopall && !drain && ANY(RUNNING) && !ANY1(HASX,2) -> live[i] = 1; ptr[i] = 2 }
#endif
#endif
#ifdef SHARE
	/* birth with the pointer of the running thread which creates it */
	:: d_step { !live[i] && !stopall && !drain && ANY1(RUNX,0) -> live[i] = 1; ptr[i] = 0 }
	:: d_step { !live[i] && !stopall && !drain && ANY1(RUNX,1) -> live[i] = 1; ptr[i] = 1 }
#endif
	od
}

#ifdef DRAIN
active proctype Drain() { drain = 1 }
#endif

/* ======================= the controller ======================= */

/* Everything it knows is in the registry: a new controller continues at the same loop.
 * Its death lets all threads run (the kernel detaches them), whatever was written stays.
 *
 * A fork is followed into the child: a copy of the memory as it is at that moment, one
 * thread with the forker's pointer and stack, contexts suspended in memory, no controller.
 * (That the parent goes on is the choice not to fork.) */
#if NFORK>0
#define FORKS :: nfork<NFORK && !stopall -> goto child
#define OTHER0(i) ((i)!=0 && live[i])
#define OTHER1(i) ((i)!=1 && live[i])
#else
#define FORKS
#endif
#if NDEATH>0
#define DIES :: atomic { deaths < NDEATH -> deaths++; goto begin }
#else
#define DIES
#endif
#if NDEATH>0 || NFORK>0
#define MAYDIE if :: skip DIES FORKS fi
#else
#define MAYDIE skip
#endif

inline leave_frame(q)
{
	if
	:: pc[q]==0 || pc[q]==PAD
	:: pc[q]==BODY -> if :: val[q] -> use[fn[q]*4+val[q]]-- :: else fi
	:: pc[q]==DISP -> use[fn[q]*4]--
	:: else -> occ[I(val[q],fn[q])]--
	fi;
	pc[q] = 0; fn[q] = 0; val[q] = 0
}

inline fork_into(i)
{
	a = 0;
	do
	:: a < N ->
		if
		:: a != i && live[a] ->
			b = 0;
			do
			:: b < D -> leave_frame(a*D+b); b++
			:: else -> break
			od;
			live[a] = 0; ptr[a] = 0; dp[a] = 0; sig[a] = 0; exempt[a] = 0
		:: else
		fi; a++
	:: else -> break
	od;
	a = 0; b = 0
}

inline new_record(c_, f0, f1, t0, t1, p_, o_, n_)
{
	nt++;
	cov[nt] = c_; par[nt] = p_; oldl[nt] = o_; newl[nt] = n_;
	word[W(nt)] = ALL; tab[W(nt)] = 0;
	frm[I(nt,F)] = (HAS(cov[nt],F) -> f0 : NONE); frm[I(nt,G)] = (HAS(cov[nt],G) -> f1 : NONE);
	to[I(nt,F)]  = (HAS(cov[nt],F) -> t0 : NONE); to[I(nt,G)]  = (HAS(cov[nt],G) -> t1 : NONE);
	bef[I(nt,F)] = (HAS(cov[nt],F) -> entry[F] : NONE); bef[I(nt,G)] = (HAS(cov[nt],G) -> entry[G] : NONE);
	open = open | BIT(nt); cur = nt            /* the record is valid: the last byte */
}

/* The newest open record is the transition that runs. */
inline close(t)
{
	open = open & ~BIT(t); a = MT-1;
	do
	:: a > 0 && !HAS(open,a) -> a--
	:: else -> break
	od;
	cur = a; a = 0
}

#ifdef S11
#define KEEP(i,t) (par[t] || UNSAFE(i,t))  /* "every thread's present state made explicit" */
#else
#define KEEP(i,t) UNSAFE(i,t)
#endif
inline fill_table(t)                       /* at a full stop: who is not switched */
{
	tab[W(t)] = 0; a = 0;
	do
	:: a < N ->
		if
		:: live[a] && KEEP(a,t) &&
		   (par[t]==0 || word[W(par[t])]==NUL || !HAS(tab[W(par[t])],ptr[a])) ->
			tab[W(t)] = tab[W(t)] | BIT(ptr[a])
		:: else
		fi; a++
	:: else -> break
	od;
	a = 0
}

/* What may be unmapped at a full stop when no transition runs:
 * an instance (with the word and table of its transition) that is empty, and that no
 * occupied instance can jump to; a version that is in no patch in force, empty, and that
 * no occupied instance can jump to; displaced instructions of a function that no patch in
 * force has, on the same conditions. */
#ifdef S17                                 /* mistake: only threads are looked at, no suspended context */
#define LOST(q,x,v) (pc[q]>=BODY && fn[q]==(x) && val[q]==(v) && ((v)!=0 || pc[q]==DISP))
#define USE(x,v) (use[(x)*4+(v)] - LOST(N*D,x,v) - LOST(N*D+1,x,v))
#define LOSTG(q,t) (pc[q]>0 && pc[q]<PAD && val[q]==(t))
#define OCC(t) (occ[I(t,F)]+occ[I(t,G)] - LOSTG(N*D,t) - LOSTG(N*D+1,t) > 0)
#else
#define USE(x,v) use[(x)*4+(v)]
#define OCC(t) (occ[I(t,F)]+occ[I(t,G)] > 0)
#endif
#define REF(t,x,e) (occ[I(t,x)]>0 && (frm[I(t,x)]==(e) || to[I(t,x)]==(e) || bef[I(t,x)]==(e)))
#if (NOPS+NREV)==1
#define ANYREF(x,e) REF(1,x,e)
#elif (NOPS+NREV)==2
#define ANYREF(x,e) (REF(1,x,e) || REF(2,x,e))
#elif (NOPS+NREV)==3
#define ANYREF(x,e) (REF(1,x,e) || REF(2,x,e) || REF(3,x,e))
#else
#define ANYREF(x,e) (REF(1,x,e) || REF(2,x,e) || REF(3,x,e) || REF(4,x,e))
#endif
#ifdef S9                                  /* mistake: an occupied gate does not keep what it can jump to */
#define KEPT(x,e) 0
#else
#define KEPT(x,e) ANYREF(x,e)
#endif
#if defined(S6A)                           /* mistake: instances are freed at completion without a look */
#define IFREE(t) (!gfree[t] && !HAS(open,t))
#elif defined(S10)                         /* mistake: word and table go with the first empty instance */
#define IFREE(t) (!gfree[t] && !HAS(open,t) && occ[I(t,F)]==0 && !KEPT(F,8+(t)) && !KEPT(G,8+(t)))
#else
#define IFREE(t) (!gfree[t] && !HAS(open,t) && !OCC(t) && !KEPT(F,8+(t)) && !KEPT(G,8+(t)))
#endif
#ifdef S4                                  /* mistake: what the transition checked stands for all older ones */
#define VFREE(x,v) (!HAS(vfree[x],v) && !HAS(loaded,v) && !fcur)
#else
#define VFREE(x,v) (!HAS(vfree[x],v) && !HAS(loaded|prep,v) && USE(x,v)==0 && !KEPT(x,v))
#endif
#ifdef S18                                 /* mistake: the original bytes are back, so the copy may go */
#define DFREE(x) (!HAS(vfree[x],0) && !NEEDED(x,loaded|prep))
#else
#define DFREE(x) (!HAS(vfree[x],0) && !NEEDED(x,loaded|prep) && USE(x,0)==0 && !KEPT(x,0))
#endif
#define ANYVFREE (VFREE(F,1)||VFREE(G,1)||VFREE(F,2)||VFREE(F,3)||VFREE(G,3)||DFREE(F)||DFREE(G))
#if (NOPS+NREV)==1
#define ANYIFREE (nt>=1 && IFREE(1))
#elif (NOPS+NREV)==2
#define ANYIFREE ((nt>=1 && IFREE(1)) || (nt>=2 && IFREE(2)))
#elif (NOPS+NREV)==3
#define ANYIFREE ((nt>=1 && IFREE(1)) || (nt>=2 && IFREE(2)) || (nt>=3 && IFREE(3)))
#else
#define ANYIFREE ((nt>=1 && IFREE(1)) || (nt>=2 && IFREE(2)) || (nt>=3 && IFREE(3)) || (nt>=4 && IFREE(4)))
#endif
/* what was condemned at a full stop may be unmapped in it or (LATEFREE) any time later */
#define CONDEMNED (vgone[F]!=vfree[F] || vgone[G]!=vfree[G] || (nt>=1 && gfree[1]==1) || (NOPS+NREV>1 && nt>=2 && gfree[2%MT]==1) || (NOPS+NREV>2 && nt>=3 && gfree[3%MT]==1) || (NOPS+NREV>3 && nt>=4 && gfree[4%MT]==1))
inline unmap()
{
	vgone[F] = vfree[F]; vgone[G] = vfree[G]; a = 1;
	do
	:: a <= nt ->
		if
		:: gfree[a]==1 -> gfree[a] = 2;
#ifndef S1
			word[a] = 0; tab[a] = 0;
#endif
			frm[I(a,F)] = 0; frm[I(a,G)] = 0; to[I(a,F)] = 0; to[I(a,G)] = 0;
			bef[I(a,F)] = 0; bef[I(a,G)] = 0
		:: else
		fi; a++
	:: else -> break
	od;
	a = 0
}
inline free_empty()
{
	if :: DFREE(F) -> ok = 1 :: else -> ok = 0 fi; vfree[F] = vfree[F] | ok;
	if :: DFREE(G) -> ok = 1 :: else -> ok = 0 fi; vfree[G] = vfree[G] | ok;
	if :: VFREE(F,1) -> ok = 1 :: else -> ok = 0 fi; vfree[F] = vfree[F] | (ok<<1);
	if :: VFREE(G,1) -> ok = 1 :: else -> ok = 0 fi; vfree[G] = vfree[G] | (ok<<1);
	if :: VFREE(F,2) -> ok = 1 :: else -> ok = 0 fi; vfree[F] = vfree[F] | (ok<<2);
	if :: VFREE(F,3) -> ok = 1 :: else -> ok = 0 fi; vfree[F] = vfree[F] | (ok<<3);
	if :: VFREE(G,3) -> ok = 1 :: else -> ok = 0 fi; vfree[G] = vfree[G] | (ok<<3);
	a = 1;
	do
	:: a <= nt ->
		if
		:: IFREE(a) -> gfree[a] = 1
		:: else
		fi; a++
	:: else -> break
	od;
#ifndef LATEFREE
	unmap();
#endif
	a = 0
}

/* Code of patch p and the displaced instructions of its functions, the latter only where
 * there are none yet (or those that wait to be freed are taken back into use). */
#define MAPPED(p) (BIT(p)|BIT(0))
inline map(p)
{
	vfree[F] = vfree[F] & ~MAPPED(p); vgone[F] = vgone[F] & ~MAPPED(p);
	if
	:: HAS(PATCHFNS(p),G) -> vfree[G] = vfree[G] & ~MAPPED(p); vgone[G] = vgone[G] & ~MAPPED(p)
	:: else
	fi;
	prep = BIT(p)
}

#define WORD   word[W(cur)]
#define TABLE  tab[W(cur)]
#define PLACED (( !HAS(cov[cur],F) || entry[F]==8+cur) && (!HAS(cov[cur],G) || entry[G]==8+cur))

/* One entry. The short form: the far jump is there before the entry leads to it, and stays
 * until it does not. */
#ifdef SHORT
#define PUTF(e) if \
	:: HAS(cov[cur],F) && (e)==0 -> entry[F] = 0; MAYDIE; far = PADDING \
	:: HAS(cov[cur],F) && (e)!=0 && entry[F]!=0 -> d_step { far = (e); entry[F] = (e) } \
	:: HAS(cov[cur],F) && (e)!=0 && entry[F]==0 -> far = (e); MAYDIE; entry[F] = (e) \
	:: else fi
#ifdef S19                                 /* mistake: what the entry says tells how far one was */
#define BACKF(e) if :: entry[F]!=(e) -> PUTF(e) :: else fi
#else
#define BACKF(e) PUTF(e)
#endif
#else
#define PUTF(e) if :: HAS(cov[cur],F) -> entry[F] = (e) :: else fi
#define BACKF(e) PUTF(e)
#endif
#define PUTG(e) if :: HAS(cov[cur],G) -> entry[G] = (e) :: else fi
#ifdef S14                                 /* mistake: nops are popped before the patches they hide, */
#define COLLG PG(loaded|newl[cur])         /* and entries go to the top of what is left */
#else
#define COLLG to[I(cur,G)]
#endif

/* pointer X looks removable; the design's rule (owner alive) is a special case of this one */
#define LISTED(x) (cur && WORD==TAB && PLACED && HAS(TABLE,x) && ANY1(HASX,x))
#ifdef VERDICT
#define FRESH(i,x) (HASX(i,x) && !HAS(stands,i))
#define LOOKS(x) (LISTED(x) && ANY1(FRESH,x))
#define MAYSTOP (!(HAS(TABLE,0) && ANY1(HASX,0)) && !(HAS(TABLE,1) && ANY1(HASX,1)))
#else
#define LOOKS(x) (LISTED(x) && XSAFE(x,cur))
#define MAYSTOP 1
#endif
#ifdef S22                                 /* mistake: the child waits for threads that only its parent has */
#define STALEOK (ANY1(HASX,0) || !HAS(TABLE,0)) && (ANY1(HASX,1) || !HAS(TABLE,1))
#else
#define STALEOK 1
#endif

proctype Controller()
{
	byte x;                                    /* all it remembers between two steps of one action */
	byte snap;                                 /* S6B only */
	goto start;
#if NFORK>0
child:
	atomic { nfork++;
		if
		:: RUN(0) && ANY(OTHER0) -> x = 0
		:: RUN(1) && ANY(OTHER1) -> x = 1
		:: else -> goto begin              /* nobody can fork: the controller has died */
		fi;
		d_step { fork_into(x) } };
#ifdef S21                                         /* mistake: one thread is left, so all are switched */
	atomic { if :: cur && WORD==TAB -> word[W(cur)] = NUL :: else fi };
#endif
#endif
begin:
	atomic { stopall = 0; stopped[0] = 0; stopped[1] = 0;
#if N==3
		stopped[2] = 0;
#endif
		x = 0; snap = 0;
#ifdef S8                                          /* mistake: recovery rebuilds the states from the direction */
		if :: cur && WORD==TAB -> c = par[cur]; par[cur] = 0; fill_table(cur); par[cur] = c :: else fi
#endif
	};
start:
	do
	/* 1. the next verb: record, gates, arena, all written while the target runs, not yet used */
	:: d_step { cur==0 && opn<NOPS && !drain ->
		if
		:: OP(opn)<4 ->
			map(OP(opn));
			c = loaded | BIT(OP(opn));
			ok = PATCHFNS(OP(opn));
			new_record(ok, PF(loaded), PG(loaded), PF(c), PG(c), 0, loaded, c)
		:: OP(opn)>4 && OP(opn)<8 ->
			map(OP(opn)-4);
			c = BIT(OP(opn)-4);
			ok = PATCHFNS(OP(opn)-4) | (loaded -> BIT(F) : 0) | (HAS(loaded,1)||HAS(loaded,3) -> BIT(G) : 0);
			new_record(ok, PF(loaded), PG(loaded), PF(c), PG(c), 0, loaded, c)
		:: OP(opn)==UNLOAD && loaded ->
			c = loaded & ~BIT(TOPP(loaded));
			ok = PATCHFNS(TOPP(loaded));
			new_record(ok, PF(loaded), PG(loaded), PF(c), PG(c), 0, loaded, c)
		/* only the top of a stack is dispatched to: no entry moves but those of g */
		:: OP(opn)==UNLOW && HAS(loaded,1) ->
			c = loaded & ~BIT(1);
			ok = (PF(loaded)==1 -> BIT(F) : 0) | (PG(loaded)==1 -> BIT(G) : 0);
			new_record(ok, PF(loaded), PG(loaded), PF(c), PG(c), 0, loaded, c)
		:: else
		fi;
		opn++ }

	/* 2. commit, one full stop: entries to the gates with the word ALL (no change of meaning),
	 *    table, and then one store of the word */
#ifdef ATONCE                                      /* contexts may migrate: no table, all safe or retry */
#define SOMEBODY (ANY1(UNSAFE,cur) || HELD(cur))
	:: atomic { cur && WORD==ALL && (!PLACED || !SOMEBODY) -> stopall = 1 };
#else
	:: atomic { cur && (WORD==ALL || (WORD==TAB && !PLACED)) -> stopall = 1 };
#endif
		MAYDIE;
#ifdef S11                                         /* as design.md had it: the reversal's table is live before the entries */
		if :: WORD==ALL && par[cur] -> d_step { fill_table(cur); word[W(cur)] = TAB } :: else fi; MAYDIE;
#endif
		PUTF(8+cur); MAYDIE;
		PUTG(8+cur); MAYDIE;
		if
#ifdef ATONCE
		:: WORD==ALL && SOMEBODY
		:: WORD==ALL && !SOMEBODY ->
#else
		:: WORD==ALL ->
#endif
			d_step { fill_table(cur) }; MAYDIE;
			d_step { gone = 0; fcur = 0; word[W(cur)] = (TABLE==0 -> NUL : TAB) }
		:: else
		fi; MAYDIE;
		stopall = 0

	/* ... or back out before the commit */
	:: atomic { cur && WORD==ALL && (deaths>0 || nfork>0 || NDEATH==0) && PADFREE(bef[I(cur,F)]) -> stopall = 1 };
		MAYDIE;
		BACKF(bef[I(cur,F)]); MAYDIE;
		PUTG(bef[I(cur,G)]); MAYDIE;
		if :: par[cur]==0 -> prep = 0 :: else fi; MAYDIE;
		d_step { newl[cur] = oldl[cur]; close(cur) }; MAYDIE;
		stopall = 0

	/* 3. one entry: stop every live thread with that pointer, check, remove, let them go */
	:: LOOKS(0) -> x = 0; goto single
	:: LOOKS(1) -> x = 1; goto single
#if NP==3
	:: LOOKS(2) -> x = 2; goto single
#endif
	/* an entry no live thread has: only at a full stop */
#ifdef S13                                         /* mistake: nobody has it, so drop it, without a stop */
	:: cur && WORD==TAB && HAS(TABLE,0) && !ANY1(HASX,0) -> tab[W(cur)] = TABLE & ~BIT(0)
	:: cur && WORD==TAB && HAS(TABLE,1) && !ANY1(HASX,1) -> tab[W(cur)] = TABLE & ~BIT(1)
#endif
#ifdef S3                                          /* mistake: the tid is gone, so drop the entry */
	:: d_step { cur && WORD==TAB && (TABLE & gone) -> tab[W(cur)] = TABLE & ~gone }
#endif

	/* 4. completion, one full stop: collapse, then free what is empty */
#ifdef S6B                                         /* mistake: no stop; looked at first, freed later */
	:: d_step { cur && WORD!=ALL && (WORD==NUL || (PLACED && TABLE==0)) ->
		snap = (OCC(cur) -> 0 : cur); c = cur; };
		word[W(cur)] = NUL;
		PUTF(to[I(cur,F)]);
		PUTG(to[I(cur,G)]);
		d_step { loaded = newl[cur]; prep = 0; close(cur) };
		if :: snap -> gfree[snap] = 2; snap = 0 :: else fi
#else
	:: atomic { cur && WORD!=ALL && PADFREE(to[I(cur,F)]) &&
		    (WORD==NUL || (PLACED && ALLX(cur) && MAYSTOP && STALEOK)) -> stopall = 1 };
		MAYDIE;
		word[W(cur)] = NUL; MAYDIE;
#ifdef S7                                          /* not a mistake: shows that this happens */
		assert(!OCC(cur));
#endif
		BACKF(to[I(cur,F)]); MAYDIE;
		PUTG(COLLG); MAYDIE;
		/* the states: the patches that are replaced first */
		loaded = loaded & newl[cur]; MAYDIE;
		d_step { loaded = newl[cur]; prep = 0 }; MAYDIE;
#ifdef S5
		d_step { close(cur) };
#else
#ifdef S23                                         /* mistake: itself before what it reverses */
		x = cur; d_step { close(x) }; MAYDIE; x = 0;
#endif
		/* what it reverses, oldest first, then itself: who finds it open does all of it again */
		do
		:: d_step { cur && open!=BIT(cur) -> x = 1;
			do
			:: !HAS(open,x) -> x++
			:: else -> break
			od; close(x); x = 0 }; MAYDIE
		:: else -> break
		od;
		if :: cur -> d_step { close(cur) } :: else fi;
#endif
		MAYDIE;
		d_step { free_empty() }; MAYDIE;
		stopall = 0
#endif
	/* what was not empty then is freed at a later full stop */
	:: d_step { cur==0 && (ANYIFREE || ANYVFREE) -> free_empty() }
#ifdef LATEFREE
	:: d_step { CONDEMNED -> unmap() }
#endif
#if NFORK>0
	FORKS
#endif

#if NREV>0
	/* reversal: new instances, new word, new table */
	:: d_step { cur && WORD!=ALL && nrev<NREV && !drain && (PLACED || WORD==NUL) ->
		nrev++;
#ifdef S5                                          /* mistake: the same instances with the roles swapped */
		a = 0; b = 0;
		do
		:: a < N ->
			if :: live[a] && !HAS(TABLE,ptr[a]) && UNSAFE(a,cur) -> b = b | BIT(ptr[a]) :: else fi; a++
		:: else -> break
		od;
		tab[W(cur)] = b;
		c = frm[I(cur,F)]; frm[I(cur,F)] = to[I(cur,F)]; to[I(cur,F)] = c;
		c = frm[I(cur,G)]; frm[I(cur,G)] = to[I(cur,G)]; to[I(cur,G)] = c;
		c = oldl[cur]; oldl[cur] = newl[cur]; newl[cur] = c;
		nt++; newl[nt] = oldl[cur]; gfree[nt] = 2       /* keep the history for P1 */
#else
		c = cur;
		new_record(cov[c], to[I(c,F)], to[I(c,G)], frm[I(c,F)], frm[I(c,G)], c, newl[c], oldl[c]);
#ifdef S12                                         /* mistake: ALL takes `from`, also in a reversal */
		bef[I(nt,F)] = frm[I(nt,F)]; bef[I(nt,G)] = frm[I(nt,G)]
#endif
#endif
		}
#endif
#if NFORCE>0
	/* force: a full stop, one store; what is on the stacks may mix from here on */
	:: d_step { cur && WORD==TAB && PLACED && nforce<NFORCE ->
		nforce++; fcur = 1; word[W(cur)] = NUL; a = 0;
		do
		:: a < N -> exempt[a] = (dp[a]>0 -> 1 : 0); a++
		:: else -> break
		od;
		a = 0 }
#endif
	/* P3, P4: when the threads have left, all is finished and nothing of the old is mapped */
	:: drain && cur==0 && !ANY(BUSY) && !dp[NS-1] && !(ANYIFREE || ANYVFREE || CONDEMNED) ->
		d_step { a = 1;
		do
		:: a <= nt -> assert(gfree[a]==2); a++
		:: else -> break
		od;
		assert(entry[F]==PF(loaded) && entry[G]==PG(loaded));
		assert(HAS(vfree[F],1) || HAS(loaded,1)); assert(HAS(vfree[G],1) || HAS(loaded,1));
		assert(HAS(vfree[F],2) || HAS(loaded,2)); assert(HAS(vfree[F],3) || HAS(loaded,3));
		assert(HAS(vfree[F],0) || NEEDED(F,loaded)); assert(HAS(vfree[G],0) || NEEDED(G,loaded));
#ifdef SHORT
		assert(entry[F] || far==PADDING);
#endif
		};
		break
	od;
	goto finished;

single:
	MAYDIE;
#ifdef S2                                          /* mistake: stops and checks one of those with the pointer */
	atomic {
		if
		:: RUNX(0,x) && !UNSAFE(0,cur) -> stopped[0] = 1
		:: RUNX(1,x) && !UNSAFE(1,cur) -> stopped[1] = 1
		:: else -> x = 0; goto start
		fi };
	tab[W(cur)] = TABLE & ~BIT(x);
#else
	do
	:: RUNX(0,x) -> stopped[0] = 1; MAYDIE
	:: RUNX(1,x) -> stopped[1] = 1; MAYDIE
#if N==3
	:: RUNX(2,x) -> stopped[2] = 1; MAYDIE
#endif
	:: !ANY1(RUNX,x) -> break
	od;
	if
	:: d_step { ANY1(HASX,x) && XSAFE(x,cur) -> tab[W(cur)] = TABLE & ~BIT(x) }
	:: d_step { !(ANY1(HASX,x) && XSAFE(x,cur)) ->
#ifdef VERDICT
		stands = stands | (HASX(0,x) -> 1 : 0) | (HASX(1,x) -> 2 : 0)
#endif
		}
	fi;
#endif
	MAYDIE;
	d_step { stopped[0] = 0; stopped[1] = 0;
#if N==3
		stopped[2] = 0;
#endif
		x = 0 };
	goto start;
finished:
	over = 1
}

init {
	atomic {
		vfree[F] = BIT(0)|BIT(1)|BIT(2)|BIT(3); vfree[G] = vfree[F]; vgone[F] = vfree[F]; vgone[G] = vfree[F];
		live[0] = 1; ptr[0] = 0;
#ifdef CHURN
		live[1] = 1; ptr[1] = 1;                /* the third slot is born later */
#else
#ifdef SHARE
		live[1] = 1; ptr[1] = 1;
#else
		live[1] = 1; ptr[1] = 1;
#if N==3
		live[2] = 1; ptr[2] = 2;
#endif
#endif
#endif
		run Thread(0); run Thread(1);
#if N==3
		run Thread(2);
#endif
		run Controller()
	}
}

#ifdef LIVE                                /* with weak fairness, pan -f -a */
ltl p3 { [] (drain -> <> over) && [] <> (!stopall && !stopped[0] && !stopped[1]) }
#endif
