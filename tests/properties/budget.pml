/* Reserve, settle, void and recover, as the stores of budgets do them: every step is one atomic transaction that may be
   repeated, every answer to a client may be lost, every client may die at any moment, and a lease may end while its client
   still lives (a clock that jumped). Two invariants hold after every step:

     spent + reserved <= LIMIT     nothing is admitted that the budget does not pay for
     owed <= spent + reserved      what upstreams will bill is never more than what we count

   At the end nothing is reserved any more, and what is spent is, attempt by attempt, what it truly cost; the upper bound
   where its client died; nothing where nothing was sent. Each MUTANT removes one thing the protocol rests on. */

#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef CLIENTS
#define CLIENTS 3
#define LIMIT 4
#endif
#define BOUND 2

#define NONE 0
#define HELD 1
#define SETTLED 2
#define LAPSED 3

short spent, reserved, owed;
byte state[CLIENTS];    /* of the attempt's reservation, in the store */
short charged[CLIENTS]; /* ghost: what should be spent for it in the end */

inline hold() {
  assert(spent + reserved <= LIMIT);
  assert(owed <= spent + reserved);
  assert(reserved >= 0 && spent >= 0)
}

inline reserve(i, admitted) {
#if MUTANT == 1 /* looks first, writes later */
  atomic { admitted = (state[i] == HELD || spent + reserved + BOUND <= LIMIT) };
  atomic {
    if
    :: admitted && state[i] != HELD -> reserved = reserved + BOUND; state[i] = HELD
    :: else
    fi;
    hold()
  }
#else
  atomic {
    if
#if MUTANT == 2 /* a repeated reservation is a second one */
    :: spent + reserved + BOUND <= LIMIT -> reserved = reserved + BOUND; state[i] = HELD; admitted = true
#else
    :: state[i] == HELD -> admitted = true
    :: state[i] != HELD && spent + reserved + BOUND <= LIMIT ->
         reserved = reserved + BOUND; state[i] = HELD; admitted = true
#endif
    :: else -> admitted = false
    fi;
    hold()
  }
#endif
}

/* settle at `cost`; void is settling at nothing */
inline settle(i, cost) {
  atomic {
    if
    :: state[i] == HELD -> reserved = reserved - BOUND; spent = spent + cost; state[i] = SETTLED
#if MUTANT == 4 /* the true settlement comes after the lapse, and is charged on top */
    :: state[i] == LAPSED -> spent = spent + cost; state[i] = SETTLED
#elif MUTANT == 5 /* ... or is not heard any more */
    :: state[i] == LAPSED -> skip
#else
    :: state[i] == LAPSED -> spent = spent + cost - BOUND; state[i] = SETTLED
#endif
#if MUTANT == 3 /* settling twice is charged twice */
    :: state[i] == SETTLED -> spent = spent + cost
#else
    :: state[i] == SETTLED -> skip
#endif
    :: state[i] == NONE -> skip
    fi;
    hold()
  }
}

proctype Client(byte i) {
  bool admitted = false, known = false;
  byte tries = 0;
  short cost;

  /* ask, and again where the answer is lost */
  do
  :: tries < 2 && !known ->
       reserve(i, admitted);
       tries++;
       if
       :: known = true
       :: skip /* the answer is lost */
       fi
  :: else -> break
  od;
  if
  :: !known ->
#if MUTANT == 6 /* who was not answered sends all the same */
       admitted = true
#else
       admitted = false;
       if
       :: settle(i, 0) /* let go of what may stand, when the store is back */
       :: atomic { charged[i] = (state[i] == HELD || state[i] == LAPSED -> BOUND : 0) } /* or dies before that */
       fi
#endif
  :: known && !admitted -> skip
  :: else
  fi;
  if
  :: !admitted -> goto over
  :: else
  fi;
  if
  :: atomic { charged[i] = BOUND; goto over } /* dies before it sends */
  :: skip
  fi;
#if MUTANT == 8 /* it costs more than was reserved, and nobody says so */
  select(cost : 0 .. 3);
#else
  select(cost : 0 .. 2);
#endif
  atomic { owed = owed + cost; charged[i] = BOUND; hold() } /* sent: it is owed whatever happens to us */
  if
  :: goto over /* dies before it settles */
  :: skip
  fi;
  settle(i, cost);
  atomic { charged[i] = cost }
  if
  :: settle(i, cost) /* the answer was lost */
  :: skip
  fi;
over:
  skip
}

inline lapse(i) {
  atomic {
    if
    :: state[i] == HELD ->
         reserved = reserved - BOUND;
#if MUTANT != 7 /* what lapsed is forgiven */
         spent = spent + BOUND;
#endif
         state[i] = LAPSED
    :: else
    fi;
    hold()
  }
}

/* A lease ends early, once for each: a clock jumped. Not while its reservation is still being asked for: that takes
   milliseconds, a lease a minute. */
proctype Clock() {
  byte i = 0;
  do
  :: i < CLIENTS ->
       if
       :: charged[i] > 0 || state[i] == SETTLED -> lapse(i)
       :: skip
       fi;
       i++
  :: else -> break
  od
}

init {
  byte i;
  short total = 0;
  atomic {

    i = 0;
    do
    :: i < CLIENTS -> run Client(i); i++
    :: else -> break
    od;
    run Clock()
  }
  _nr_pr == 1; /* all are over */
  i = 0;
  do
  :: i < CLIENTS -> lapse(i); total = total + charged[i]; i++
  :: else -> break
  od;
  assert(reserved == 0);
  assert(spent == total);
  assert(owed <= spent)
}
