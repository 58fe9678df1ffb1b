package affinity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/census"
	"github.com/go-affinity/affinity/internal/digest"
	"github.com/go-affinity/affinity/internal/flight"
	"github.com/go-affinity/affinity/internal/lifetime"
	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
	"github.com/go-affinity/affinity/internal/tally"
)

// Config configures a [Selector] over targets of type T. ID and Fallback are
// required; the zero value of every other field is a good default.
type Config[T any] struct {
	// ID returns what a target is called: a non-empty string that is unique
	// among the candidates and stays the same over restarts, such as the name
	// of an account. It is called often, for candidates and for what Fallback
	// answers, and must be quick and safe for concurrent use.
	ID func(target T) string

	// Fallback chooses the target of a request that has no session, of a
	// session that has no binding, and of one whose home is not among the
	// candidates. If it is a Balancer, such as balance.LeastCost, it is told
	// of every request and of its outcome.
	Fallback Picker[T]

	// Extractor finds the session of a request. nil means extract.Default().
	Extractor extract.Extractor

	// Tenant says whose request it is, in addition to Request.Scope: sessions of
	// different tenants never meet, whatever ids they send. It may return a
	// secret, since only a keyed hash is kept. extract.Credential is a good
	// one. nil leaves all to Request.Scope.
	Tenant func(req *extract.Request) string

	// Threads says where the threads of a session go, such as sub-agents.
	Threads ThreadPolicy

	// Failover says what becomes of a session whose home is not among the
	// candidates.
	Failover FailoverPolicy

	// SideCalls lets calls beside the conversation (extract.Class.Beside:
	// probes, titles, compaction and the like) make, move and refresh
	// bindings, as its turns do. By default they follow the binding that is
	// there and leave no trace, whatever becomes of them. (A body is not read for
	// this where the session is at home, nor one of more than 16 kB where it moves:
	// a side call that only its body tells apart counts as a turn there.)
	SideCalls bool

	// FailPinned makes Select fail with a *PinnedError where it would send a
	// request away from the upstream that holds state it refers to
	// (extract.Request.Pins). By default such a request goes where others
	// would, and the upstream answers for itself. With it, state that is known
	// (Selection.Learn) also goes before the binding of a session; for that, bodies
	// are read. State that nobody has told of is taken to be at the session's home;
	// if the session has none, the request goes anywhere.
	FailPinned bool

	// TTL is how long a binding lives after its last use. 0 means DefaultTTL;
	// more than four years are four years.
	//
	// It is an upper bound: where outcomes tell how much of the prompts was
	// cached, the Selector learns for how long each target keeps a prompt. A
	// session that was away for longer has nothing to lose and is placed anew.
	// (That takes three turns of 2,048 tokens or more that come within a minute of the
	// one before, to see how much is cached then, and three after a longer pause of
	// which less than half as much is.)
	TTL time.Duration

	// Lifetime says how long the bindings of a session live after their last
	// use where that is not TTL: less, say, for a session that is Derived. 0
	// or less means TTL, and more than four years four years. nil means TTL for
	// all. It must be the same for all turns and threads of a session: how long
	// that was away is reckoned from when its binding ends. When the Cache is full,
	// the bindings that end first make room, however lately they were used.
	Lifetime func(s extract.Session) time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity. A
	// session named by an id has one binding, and one more for each thread; a
	// session that is recognised by its messages has up to four for every
	// text that a person wrote, of which the older ones expire while the
	// conversation goes on. Those of sessions that have moved count twice,
	// while it is remembered where they were before.
	Capacity int

	// Cache holds the bindings. nil means a new one, of the given TTL and
	// Capacity; if it is set, both of them must be 0 (Lifetime may still say how long
	// bindings live). Selectors may share a Cache, or hand it on when a configuration
	// is replaced: then sessions stay where they are as long as targets keep their
	// IDs. With it go drains and what was learned of targets; hand on a Balancer as
	// well, which has a memory of its own.
	Cache *Cache
}

// A ThreadPolicy says where the threads of a session go, such as sub-agents:
// they have its identity, but prompts of their own.
type ThreadPolicy uint8

const (
	// ThreadsStart: a thread starts at the home of what started it, and then
	// has a binding of its own. The state on that upstream is within reach,
	// and a thread that has to move leaves the others where they are.
	ThreadsStart ThreadPolicy = iota

	// ThreadsShare: a thread has no binding but its session's.
	ThreadsShare

	// ThreadsSpread: the fallback places each thread like a session. Where an
	// agent starts dozens at once, they do not all land on one target.
	ThreadsSpread
)

// A FailoverPolicy says what becomes of a session whose home is not among the
// candidates. Either way, a session that has to move again goes where it was
// before, if it can, rather than to a third target.
type FailoverPolicy uint8

const (
	// FailoverRebind: the target that serves in its place is the home from
	// then on.
	FailoverRebind FailoverPolicy = iota

	// FailoverReturn: the home stays the home. Another target serves, always
	// the same, until the home is among the candidates again. After an outage
	// its sessions come back one by one, over as long as it took but at most
	// five minutes. A home that is away for longer than it keeps prompts, or
	// than the TTL, is given up.
	FailoverReturn
)

// A Selector keeps sessions at their targets.
//
// For every request, its extractor names the session; the Selector looks for
// the session's binding and answers with its home if that is among the
// candidates. In all other cases the fallback decides, and what it chose
// becomes the session's home. See the package documentation for the rules.
//
// Use [New]. All methods are safe for concurrent use. A hit takes no lock, but for that of
// a fallback that is a Balancer, and where the session is Conventional or on a detour.
type Selector[T any] struct {
	cfg      Config[T]
	chain    extract.Chain // the extractor, or one of it
	balancer Balancer[T]   // the fallback, if it is one
	cache    *Cache
	start    int64 // when it was made
	closed   atomic.Bool
	_        [64]byte      // keeps what all requests read off the cache lines of what is written
	flights  flight.Group  // the sessions that are being placed
	openings census.Census // of conversations, by session
	selected tally.Counter // by Reason; 0 are the failures
	outcomes tally.Counter // by Result
}

const _ = uint(tally.Kinds - len(reasons)) // each is counted by itself

var _ Picker[int] = (*Selector[int])(nil)

// New returns a Selector. The error, if any, names the field of the
// configuration that is at fault.
func New[T any](cfg Config[T]) (*Selector[T], error) {
	switch {
	case cfg.ID == nil:
		return nil, errors.New("affinity: Config.ID is nil: say how a target is called")
	case isNil(cfg.Fallback):
		return nil, errors.New("affinity: Config.Fallback is nil: give a Picker, for example balance.RoundRobin")
	case cfg.Extractor != nil && isNil(cfg.Extractor):
		return nil, errors.New("affinity: Config.Extractor is a nil function: leave it out to have extract.Default")
	case cfg.Threads > ThreadsSpread:
		return nil, errors.New("affinity: Config.Threads is not a ThreadPolicy")
	case cfg.Failover > FailoverReturn:
		return nil, errors.New("affinity: Config.Failover is not a FailoverPolicy")
	case cfg.TTL < 0:
		return nil, errors.New("affinity: Config.TTL is negative")
	case cfg.Capacity < 0:
		return nil, errors.New("affinity: Config.Capacity is negative")
	case cfg.Cache != nil && cfg.Cache.table == nil:
		return nil, errors.New("affinity: Config.Cache is the zero Cache: use NewCache")
	case cfg.Cache != nil && (cfg.TTL != 0 || cfg.Capacity != 0):
		return nil, errors.New("affinity: Config.Cache is set, and so is Config.TTL or Config.Capacity: the Cache has its own (for another TTL set Config.Lifetime)")
	}
	s := &Selector[T]{cfg: cfg, cache: cfg.Cache}
	s.balancer, _ = cfg.Fallback.(Balancer[T])
	switch e := cfg.Extractor.(type) {
	case nil:
		s.chain = extract.Default()
	case extract.Chain:
		if slices.ContainsFunc(e, func(e extract.Extractor) bool { return isNil(e) }) {
			return nil, errors.New("affinity: Config.Extractor is a Chain that has a nil in it")
		}
		s.chain = e
	default:
		s.chain = extract.Chain{e}
	}
	if s.cache == nil {
		var err error
		if s.cache, err = NewCache(CacheConfig{TTL: cfg.TTL, Capacity: cfg.Capacity}); err != nil {
			return nil, err
		}
	}
	s.start = s.cache.now()
	if cfg.Lifetime != nil {
		raise(&s.cache.varied)
	}
	return s, nil
}

// isNil reports whether v is nil, or a nil function such as PickerFunc[T](nil), which
// would panic with the first request. Nil pointers may have methods that work.
func isNil(v any) bool {
	f := reflect.ValueOf(v)
	return v == nil || f.Kind() == reflect.Func && f.IsNil()
}

// A Selection is the answer of [Selector.Select]: the chosen candidate, and the
// [Decision] that led to it. The zero Selection is what comes with an error;
// its Done and Learn do nothing. Do not copy a Selection (go vet tells): its outcome
// would count once for every copy.
type Selection[T any] struct {
	// Target is the chosen candidate.
	Target T

	Decision

	selector *Selector[T]
	within   digest.Sum
	at       located // the binding, after this request; without a target if there is none
	before   int64   // its expiry before that, if the conversation stayed; else 0
	ttl      int64   // of the binding
	done     atomic.Bool
	learning atomic.Uint32 // how far first has come: see learned
	first    *learned
	leased   bool // the binding waits for Done
	beside   bool // the request leaves no trace
	stayed   bool // the conversation was at this very target the last time, Idle ago
	kin      *kin // nil if the session inherits from nobody
	ticket   Ticket
}

// Done reports what became of the request. It may be called from any
// goroutine, late or never; only the first call counts. It acts only on the
// binding that the selection came from: if the session has moved on since, or
// was invalidated, the binding it has now stays as it is. Defer it where what is between
// may panic, as httputil.ReverseProxy does. It writes Decision.Outcome and Reported,
// which others must not read meanwhile.
//
// Until then the binding does not expire, so that a session is where it was
// however long an answer takes to stream; for an hour beyond the TTL at most,
// in case that Done is never called. (Of more than thirty requests of one session
// at one instant, or under load within a millisecond, some share a lease.)
func (s *Selection[T]) Done(o Outcome) {
	if s.selector == nil || !s.done.CompareAndSwap(false, true) {
		return
	}
	if o.Result > TerminalFailure {
		o.Result = Neutral
	}
	s.Outcome, s.Reported = o, true
	s.selector.finish(s)
}

// Learn tells that the target holds state under the given id, such as that of
// the response that it has just made ([extract.StateReader] finds them). A
// later request that says no more than that it goes on from there is sent to
// the target, and is part of the same session. An id that is not fit to be one
// ([extract.ID]) is ignored, and so is state of a target whose own ID is empty.
//
// Ids mean something within the scope and tenant of the request only. What was
// learned takes the place of a binding in the Cache and lives as long: the id that
// is learned first, which is that of the response itself, does not expire until
// Done either.
func (s *Selection[T]) Learn(id string) {
	id, ok := extract.ID(id)
	if s.selector == nil || s.ID == "" || !ok {
		return
	}
	c := s.selector.cache
	key := c.stateKey(s.within, id)
	session := s.Session
	if session == 0 {
		session = key.digest(scopeOf(s.within))
	}
	life := s.selector.lifetime(&extract.Session{Source: "state", ID: id})
	first := !s.done.Load() && s.learning.CompareAndSwap(nothing, learning)
	now := c.now()
	raise(&c.learned)
	l, _ := c.bind(key, table.Any, s.ID, uint64(session|stateBit), now, now+life, first)
	if !first {
		return
	}
	s.first = &learned{l.Found, key, life}
	s.learning.Store(leased)
	if s.done.Load() { // meanwhile
		s.endLearned(false)
	}
}

// learned is the id that was learned first: as a binding does, it waits for Done.
type learned struct {
	table.Found
	key  Key
	life int64
}

// How far that has come.
const (
	nothing uint32 = iota
	learning
	leased
	ended
)

// endLearned gives back the lease of what was learned first, if it has one.
func (s *Selection[T]) endLearned(served bool) {
	if !s.learning.CompareAndSwap(leased, ended) {
		return
	}
	ttl := int64(0)
	if served {
		ttl = s.first.life
	}
	s.selector.cache.end(s.first.key, s.first.Found, true, ttl)
}

// A PinnedError reports that a request refers to state on an upstream that it
// cannot be sent to. See [Config.FailPinned].
type PinnedError struct {
	// Target is the ID of the target that holds the state, which is not among
	// the candidates: as it was told (Selection.Learn), or else the session's home.
	Target string
}

// Error implements error.
func (e *PinnedError) Error() string {
	return "affinity: the request refers to state on target " + e.Target + ", which is not among the candidates"
}

// Pick is Select for callers that want nothing but the target. It takes no lease on
// the binding, and nobody can report an outcome. It makes a Selector a [Picker], so that
// one can be the fallback of another: a [Balancer] below the inner one then goes by its
// estimates, since it is told of no outcome.
func (s *Selector[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	var sel Selection[T]
	err := s.decide(ctx, req, candidates, false, &sel)
	return sel.Target, err
}

// Select chooses one of the candidates for req: the home of its session where
// that is possible.
//
// The candidates are the targets that the caller holds usable for this very
// request; the order does not matter to a binding. req may be nil: a request
// without a session.
//
// When several first requests of one session come in at once, one of them asks
// the fallback and the others wait for its answer, or for ctx. Their error is
// then that of ctx. If the one fails, each of the others asks for itself.
//
// Other errors: [ErrNoCandidates], [ErrNotCandidate], [ErrNoID], a [*PinnedError],
// and whatever the fallback returns, wrapped. An error leaves bindings as they were.
//
// Select does not keep req or candidates.
func (s *Selector[T]) Select(ctx context.Context, req *extract.Request, candidates []T) (sel Selection[T], err error) {
	err = s.decide(ctx, req, candidates, true, &sel)
	return // by name, which makes no copy
}

// decide is Select, with a lease on the binding or without.
func (s *Selector[T]) decide(ctx context.Context, req *extract.Request, candidates []T, lease bool, sel *Selection[T]) (err error) {
	var q query
	switch {
	case len(candidates) == 0:
		err = ErrNoCandidates
	case !s.query(&q, req) || s.closed.Load():
		q.sess = extract.Session{}
		err = s.sessionless(ctx, &q, candidates, sel)
	default:
		q.lease = lease && !q.beside
		if !s.home(&q, candidates, sel) {
			sel.at = located{}
			err = s.place(ctx, &q, candidates, sel)
		}
		if q.sess.Confidence == extract.Conventional && !q.beside && err == nil {
			if opening, ok := req.Opening(); ok {
				sel.Conversations = s.openings.See(q.root.k, opening)
			}
		}
	}
	s.selected.Add(uint8(sel.Reason)) // 0 with an error
	return err
}

// sessionless answers a request without a session: it goes where state is that it
// refers to, or else where the fallback says.
func (s *Selector[T]) sessionless(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	reason, p := ReasonNoSession, pick{i: -1}
	if q.req != nil && s.cache.learned.Load() && !s.closed.Load() {
		q.now = s.cache.now()
		var absent string
		if p.i, absent = s.pinned(q, candidates); s.cfg.FailPinned && absent != "" {
			return &PinnedError{absent}
		}
	}
	if p.i >= 0 {
		reason = ReasonPinned
	} else {
		var err error
		if p, err = s.fall(ctx, q.req, candidates, ""); err != nil {
			return err
		}
	}
	s.unbound(q, candidates, &p, reason, sel)
	return nil
}

// finish acts on the outcome of a selection.
func (s *Selector[T]) finish(sel *Selection[T]) {
	o := sel.Outcome
	s.outcomes.Add(uint8(o.Result))
	if s.balancer != nil {
		s.balancer.Settle(sel.ID, sel.ticket, o)
	}
	sel.endLearned(o.Result == Served)
	if sel.at.target == nil || sel.beside {
		return
	}
	c := s.cache
	switch ttl := sel.ttl; {
	case o.Result == TerminalFailure:
		if c.table.Delete(sel.at.key.k, sel.at.Stamp(), c.now()) {
			if !sel.at.aside() { // what became the home
				sel.drop(sel.at.key.aside())
			}
			if sel.kin != nil {
				for _, k := range sel.kin.keys(c) {
					sel.drop(k)
					sel.drop(k.aside())
				}
			}
		}
		sel.endCopies(0)
	case o.Result == Served:
		if sel.stayed {
			sel.at.target.Traits.Life.Observe(sel.Idle, o.Usage.Cached, o.Usage.Uncached)
		}
		if sel.Reason == ReasonDetour || sel.Reason == ReasonFailover {
			// A detour that has ended since must not look like the place where
			// the session was last.
			if home, ok := c.lookup(sel.at.key.aside(), c.now()); ok && !home.aside() && home.Stamp() != sel.at.Stamp() && s.later(&home, sel) {
				ttl = 0
			}
		}
		c.end(sel.at.key, sel.at.Found, sel.leased, ttl)
		sel.endCopies(ttl)
	default:
		c.end(sel.at.key, sel.at.Found, sel.leased, 0)
		sel.endCopies(0)
		if o.Result == TransientFailure && sel.before > 0 {
			c.takeBack(sel.at.key, sel.at.Stamp(), sel.before, sel.at.Expires)
			if sel.kin != nil {
				for _, a := range sel.kin.copies {
					c.takeBack(a.key, a.Stamp(), a.Expires(), sel.at.Expires)
				}
			}
		}
	}
}

// drop removes the binding of k if that is one of the session to the same target.
func (s *Selection[T]) drop(k Key) {
	c := s.selector.cache
	if l, ok := c.lookup(k, c.now()); ok && l.session() == s.Session && l.target.Name == s.ID {
		c.table.Delete(k.k, l.Stamp(), c.now())
	}
}

// kin is what Done has to know of a session that inherits from others, or others from it.
type kin struct {
	query
	copies []copied // in room, if they are not many
	room   [3]copied
}

// copied is the binding as it is stored under an alias, as it was before: it waits for Done
// as well.
type copied struct {
	table.Found
	key    Key
	leased bool
}

func (k *kin) add(key Key, f table.Found, leased bool) {
	if k.copies == nil {
		k.copies = k.room[:0]
	}
	k.copies = append(k.copies, copied{f, key, leased})
}

// endCopies does to the copies of the binding what [Cache.end] does to itself, unless it
// has moved on. With a ttl, the prompt of what the session continues was used too.
func (s *Selection[T]) endCopies(ttl int64) {
	if s.kin == nil {
		return
	}
	c := s.selector.cache
	if ttl > 0 {
		if l, ok := c.lookup(s.at.key, c.now()); !ok || l.Stamp() != s.at.Stamp() {
			ttl = 0
		}
	}
	for _, a := range s.kin.copies {
		c.end(a.key, a.Found, a.leased, ttl)
	}
	if ttl == 0 {
		return
	}
	now := c.now()
	for _, id := range s.kin.sess.Continues { // the first may be parts of what was said last, which nobody has asked
		if a, ok := c.copyOf(&s.kin.query, &s.at, id, now); ok {
			c.end(a.key, a.Found, false, ttl)
			return
		}
	}
}

// later reports whether the session was at home after it was aside, where sel
// comes from.
func (s *Selector[T]) later(home *located, sel *Selection[T]) bool {
	aside, ok := s.cache.lookup(sel.at.key, home.now)
	return ok && aside.aside() && home.Expires > aside.Expires
}

// Peek returns the binding that Select would start from for req: that of its
// session, or the one that the session would take over. It changes nothing and
// asks no fallback. The target need not be among anybody's candidates.
func (s *Selector[T]) Peek(req *extract.Request) (Binding, bool) {
	var q query
	if !s.query(&q, req) || s.closed.Load() {
		return Binding{}, false
	}
	st := s.standing(&q)
	if st.target == nil {
		return Binding{}, false
	}
	b := s.cache.binding(&st.located)
	b.Session, b.Scope = st.session, st.session.scope()
	return b, true
}

// Invalidate removes the binding of the session of req, and those of the same
// session that it could take over, and reports whether there was any. The
// session's next request is placed anew. Threads that have a binding of their
// own keep it, unless req is theirs: InvalidateSession finds them all.
func (s *Selector[T]) Invalidate(req *extract.Request) bool {
	var q query
	if !s.query(&q, req) {
		return false
	}
	session := s.standing(&q).session
	found := s.cache.Delete(q.key)
	found = s.cache.Delete(q.key.aside()) || found
	for _, key := range q.keys(s.cache) {
		for _, key := range []Key{key, key.aside()} {
			if l, ok := s.cache.lookup(key, q.now); ok && l.session() == session && s.cache.Delete(key) {
				found = true
			}
		}
	}
	return found
}

// InvalidateSession removes the bindings of the session that d stands for, and
// returns their number. It visits the whole table: it is for operators, who
// know a session by what they read in a log.
func (s *Selector[T]) InvalidateSession(d Digest) int {
	return s.cache.DeleteFunc(func(_ Key, b Binding) bool { return b.Session == d })
}

// InvalidateTarget removes all bindings to the target of that ID, at a cost
// that does not depend on their number. When their sessions come back, those
// that have a second place ([Binding.Aside]) go on there, and the others are placed
// anew, over all candidates.
//
// This and more can be done with the Cache: [Cache.DeleteFunc] releases, and
// [Cache.MoveFunc] moves, all sessions of a target, a scope or whatever else a
// [Binding] tells.
func (s *Selector[T]) InvalidateTarget(id string) { s.cache.DeleteTarget(id) }

// Scope returns what stands for a tenant and a scope in [Binding.Scope]: for
// what Config.Tenant returns ("" without it), and a Request.Scope. It is 0 if
// both are empty. Two of them share a number once in sixteen million; among five
// thousand there are likely to be two that do.
func (s *Selector[T]) Scope(tenant, scope string) Digest {
	return scopeOf(s.cache.within(tenant, scope))
}

// Drain lets the target of that ID keep the sessions it has and gives it no
// new ones. From until on, unless that is the zero Time, those that it still has are
// placed anew when their next request comes, as after a failure. A request for which
// there is no other candidate still goes there. The drain belongs to the Cache: it
// lasts, also for Selectors that take that over, until Resume.
func (s *Selector[T]) Drain(id string, until time.Time) {
	end := int64(never)
	if !until.IsZero() {
		end = max(1, s.cache.clock.At(until))
	}
	s.cache.targets.Drain(id, end)
}

const never = math.MaxInt64 // when a drain without a deadline ends

// Resume ends the drain of the target of that ID.
func (s *Selector[T]) Resume(id string) { s.cache.targets.Drain(id, 0) }

// Drained returns the targets that are being drained, each with the deadline of its
// drain: the zero Time if it has none.
func (s *Selector[T]) Drained() map[string]time.Time {
	drained := make(map[string]time.Time)
	for id, end := range s.cache.targets.Drained() {
		if drained[id] = (time.Time{}); end != never {
			drained[id] = s.cache.clock.Time(end)
		}
	}
	return drained
}

// Stats returns what was counted since New, which is this Selector's own, whatever
// its Cache. Each number is right, but they are not read at one instant while
// requests go on.
func (s *Selector[T]) Stats() Stats {
	st := Stats{Selected: make(map[Reason]uint64), Outcomes: make(map[Result]uint64), Failed: s.selected.Sum(0)}
	for r := ReasonNoSession; int(r) < len(reasons); r++ {
		st.Selected[r] = s.selected.Sum(uint8(r))
	}
	for r := Neutral; r <= TerminalFailure; r++ {
		st.Outcomes[r] = s.outcomes.Sum(uint8(r))
	}
	return st
}

// Counts is [Cache.Counts].
func (s *Selector[T]) Counts() map[string]int { return s.cache.Counts() }

// Cache returns the Cache with the bindings.
func (s *Selector[T]) Cache() *Cache { return s.cache }

// Close retires the Selector: it answers every later request from the
// fallback, as one without a session, and binds nothing, so that requests
// under way while a configuration is replaced are not lost. The Cache is left
// as it is, since another Selector may have taken it over; outcomes that are reported,
// state that is learned and what is invalidated from now on still go there, while Peek finds
// nothing. Close returns nil and may be called again. A Selector that is dropped without it
// leaks nothing.
func (s *Selector[T]) Close() error {
	s.closed.Store(true)
	return nil
}

// query is what is asked for one request.
type query struct {
	req    *extract.Request
	sess   extract.Session
	within digest.Sum // tenant and scope
	source digest.Sum // and what named the session
	root   Key        // the session
	key    Key        // the binding: that of the session, or of its thread
	ttl    int64      // of the binding
	now    int64      // when the request came
	beside bool       // it follows the binding and leaves no trace
	starts bool       // it is a thread, and takes over the binding of what started it
	known  bool       // there is a binding
	lease  bool       // the binding is to be kept alive until Done
}

// inherits reports whether there are other bindings that the session could take
// over, or that were stored beside its own.
func (q *query) inherits() bool {
	return q.starts || len(q.sess.Continues)+len(q.sess.Near)+len(q.sess.Aliases) > 0
}

// pinned reports whether the request refers to state, which is likely to be where
// the session was last.
func (q *query) pinned() bool { return len(q.req.Pins()) > 0 }

// keys returns the keys of these bindings.
func (q *query) keys(c *Cache) []Key {
	if !q.inherits() {
		return nil
	}
	var keys []Key
	if q.starts {
		keys = append(keys, q.root)
		if q.sess.ParentThread != "" {
			keys = append(keys, c.threadKey(q, q.sess.ParentThread))
		}
	}
	for _, ids := range [][]string{q.sess.Aliases, q.sess.Continues, q.sess.Near} {
		for _, id := range ids {
			keys = append(keys, c.key(q, id))
		}
	}
	return keys
}

// copyOf finds what was stored with the binding at under an alias, unless it has moved
// on since.
func (c *Cache) copyOf(q *query, at *located, alias string, now int64) (located, bool) {
	key := c.key(q, alias)
	if at.aside() {
		key = key.aside()
	}
	l, ok := c.lookup(key, now)
	return l, ok && l.target == at.target && l.Mark() == at.Mark()
}

// query asks the extractor, and reports whether there is a session.
func (s *Selector[T]) query(q *query, req *extract.Request) bool {
	q.req, q.ttl = req, s.cache.ttl
	if req == nil {
		return false
	}
	var tenant string
	if s.cfg.Tenant != nil {
		tenant = s.cfg.Tenant(req)
	}
	q.within = s.cache.within(tenant, req.Scope)
	if !s.chain.Find(req, &q.sess) || q.sess.ID == "" {
		return false
	}
	if s.cfg.Threads == ThreadsShare || s.cfg.Lifetime != nil { // else only without a binding: see standing
		req.Complete(&q.sess)
	}
	if s.cfg.Threads == ThreadsShare && q.sess.Parent != "" {
		q.sess.ID = q.sess.Parent
	}
	if slices.Contains(q.sess.Aliases, q.sess.ID) { // it would take the place of the binding
		q.sess.Aliases = slices.DeleteFunc(slices.Clone(q.sess.Aliases), func(id string) bool { return id == q.sess.ID })
	}
	q.source = s.cache.kinds.Add(q.within, q.sess.Source)
	q.root = keyOf(s.cache.secret.Add(q.source, q.sess.ID))
	q.key = q.root
	if q.sess.Thread != "" && s.cfg.Threads != ThreadsShare {
		q.key = s.cache.threadKey(q, q.sess.Thread)
		q.starts = s.cfg.Threads == ThreadsStart
	}
	if s.cfg.Lifetime != nil {
		q.ttl = s.lifetime(&q.sess)
	}
	q.beside = !s.cfg.SideCalls && q.sess.Class.Beside()
	if q.now = s.cache.clock.Now(); q.ttl < int64(exactTTL) {
		q.now = s.cache.now()
	}
	return true
}

// lifetime returns how long the bindings of the session live after their last use.
func (s *Selector[T]) lifetime(sess *extract.Session) int64 {
	if s.cfg.Lifetime != nil {
		if ttl := s.cfg.Lifetime(*sess); ttl > 0 {
			return int64(min(ttl, maxTTL))
		}
	}
	return s.cache.ttl
}

// key returns the key of an id of the session's kind.
func (c *Cache) key(q *query, id string) Key { return keyOf(c.secret.Add(q.source, id)) }

// threadKey returns the key of a thread of the session.
func (c *Cache) threadKey(q *query, thread string) Key {
	return keyOf(c.secret.Add(c.secret.Add(q.source, q.sess.ID), thread))
}

// home answers with the home of the binding if that is among the candidates,
// and nothing speaks against it.
func (s *Selector[T]) home(q *query, candidates []T, sel *Selection[T]) bool {
	l := &sel.at
	if q.known = s.cache.locate(q.key, q.now, l); !q.known {
		return false
	}
	i := s.index(l.target, candidates)
	if s.cfg.Failover == FailoverReturn {
		if stay, ok := s.detour(q, l, i, candidates, sel); ok {
			return stay
		}
	}
	if i < 0 || !s.believed(l, q.ttl) || s.crowded(q, l.target) || s.strict() && q.pinned() {
		return false
	}
	s.hit(q, candidates[i], ReasonBound, sel)
	return true
}

// strict reports whether a request must not be kept from state that it refers to,
// by its own binding either, and there is some that is known.
func (s *Selector[T]) strict() bool { return s.cfg.FailPinned && s.cache.learned.Load() }

// detour is home for sessions that may be away from theirs, which is l and has
// place i. It reports false if the session is at home.
func (s *Selector[T]) detour(q *query, l *located, i int, candidates []T, sel *Selection[T]) (served, away bool) {
	if i >= 0 && !q.beside {
		s.watch(l.target, i, q.now)
	}
	p := &l.target.Traits.Presence
	if last := p.Last(); last == 0 || q.now-last > q.ttl+int64(leaseLimit) {
		return false, false // no detour can have outlived that
	}
	d, ok := s.cache.lookup(q.key.aside(), q.now)
	if !ok || d.Expires <= l.Expires {
		return false, false // it was at home last
	}
	j := s.index(d.target, candidates)
	if j < 0 || !s.believed(&d, q.ttl) || i >= 0 && p.Awaits(q.now, l.session().fraction()) || s.cache.learned.Load() && q.pinned() {
		return false, true
	}
	if i < 0 && !q.beside {
		s.watch(l.target, i, q.now)
	}
	sel.From, sel.at = l.target.Name, d
	s.hit(q, candidates[j], ReasonDetour, sel)
	return true, true
}

// watch notes whether t, which has place i, is among the candidates.
func (s *Selector[T]) watch(t *registry.Target, i int, now int64) {
	switch p := &t.Traits.Presence; {
	case s.cfg.Failover != FailoverReturn:
	case i < 0:
		p.Missing(now)
	case p.Away():
		p.Present(now)
	}
}

// believed reports whether the session had better go on where the binding says:
// the target keeps its sessions, and the prompt is likely to be in its cache,
// or a request under way is about to put it there. One stale binding in
// exploration is believed all the same, or it would never be noticed that prompts
// are kept for longer now.
func (s *Selector[T]) believed(l *located, ttl int64) bool {
	t := l.target.Traits
	life := t.Life.Life()
	switch {
	case t.Drained(l.now):
		return false
	case life == lifetime.Unlimited, l.Leases() > 0:
		return true
	}
	idle, known := s.idle(l, ttl)
	if !known {
		idle = min(idle, time.Duration(l.now-s.start))
	}
	return idle <= life || (uint64(l.Stamp())+l.key.k.Lo)%exploration == 0
}

const exploration = 16

// idle returns how long the binding had not been used when it was looked up, if a
// use gives it that ttl. That is not known of bindings that were taken over from
// another configuration, which may have had another lifetime, nor of learned state.
func (s *Selector[T]) idle(l *located, ttl int64) (idle time.Duration, known bool) {
	idle = time.Duration(l.now - (l.Expires - ttl))
	return max(0, idle), idle >= 0 && (int64(idle) <= l.now-s.start || !s.cache.varied.Load())
}

// away is idle for people: 0 if it is not known.
func (s *Selector[T]) away(l *located, ttl int64) (idle time.Duration, known bool) {
	if idle, known = s.idle(l, ttl); !known {
		idle = 0
	}
	return idle, known
}

// crowded reports whether a session should leave t for others' sake: its
// messages alone say that it is one, so it may be many, and t has more than its
// share.
func (s *Selector[T]) crowded(q *query, t *registry.Target) bool {
	return s.balancer != nil && q.sess.Confidence == extract.Derived && !q.beside &&
		t.Traits.MayLeave(q.now) && s.balancer.Overloaded(t.Name)
}

// hit makes the Selection of a session that goes on where it is: at sel.at.
func (s *Selector[T]) hit(q *query, target T, reason Reason, sel *Selection[T]) {
	l := &sel.at
	sel.before = l.Expires
	sel.Idle, sel.stayed = s.away(l, q.ttl)
	if !q.beside {
		var gap int64 // a session that has moved must look like it
		if reason == ReasonBound {
			gap = s.cache.lag(q.ttl, q.now) / finer
		}
		sel.leased = s.cache.touch(l, q.ttl, gap, q.lease)
	}
	s.bound(q, target, reason, sel)
	if !q.beside {
		s.useCopies(q, sel)
	}
	if s.balancer != nil {
		sel.ticket = s.balancer.Charge(q.req, sel.ID, true)
	}
}

// useCopies has the copies of the binding sel.at live as long as itself.
func (s *Selector[T]) useCopies(q *query, sel *Selection[T]) {
	for _, alias := range q.sess.Aliases {
		if a, ok := s.cache.copyOf(q, &sel.at, alias, sel.at.now); ok {
			_, leased := s.cache.table.Touch(a.key.k, a.Found, sel.at.Expires, 0, q.lease)
			sel.kin.add(a.key, a.Found, leased)
		}
	}
}

// index returns the place of t among the candidates, or -1. It looks first
// where t stood the last time, since lists of candidates seldom change.
func (s *Selector[T]) index(t *registry.Target, candidates []T) int {
	hint := int(t.Hint.Load())
	if hint < len(candidates) && s.cfg.ID(candidates[hint]) == t.Name {
		return hint
	}
	for i, c := range candidates {
		if s.cfg.ID(c) == t.Name {
			t.Hint.Store(uint32(i))
			return i
		}
	}
	return -1
}

// bound makes the Selection that comes from the binding sel.at, but for its
// ticket.
func (s *Selector[T]) bound(q *query, target T, reason Reason, sel *Selection[T]) {
	sel.Target = target
	sel.ID = sel.at.target.Name
	sel.Reason = reason
	sel.Source = q.sess.Source
	sel.Confidence = q.sess.Confidence
	sel.Session = sel.at.session()
	sel.selector = s
	sel.within = q.within
	sel.ttl = q.ttl
	sel.beside = q.beside
	if q.inherits() {
		sel.kin = &kin{query: *q} // q itself stays on the stack
		sel.kin.req = nil
	}
}

// unbound makes a Selection that leaves no binding.
func (s *Selector[T]) unbound(q *query, candidates []T, p *pick, reason Reason, sel *Selection[T]) {
	sel.Target = candidates[p.i]
	sel.ID = s.cfg.ID(candidates[p.i])
	sel.Reason = reason
	sel.Source = q.sess.Source
	sel.Confidence = q.sess.Confidence
	sel.selector = s
	sel.within = q.within
	s.charge(q, p, false, sel)
}

// pick is a candidate, and the ticket that a Balancer gave with it.
type pick struct {
	i      int // -1 is no candidate
	ticket Ticket
	placed bool // whether there is a ticket
}

// charge gives the Selection its ticket: that of p, or a new one.
func (s *Selector[T]) charge(q *query, p *pick, warm bool, sel *Selection[T]) {
	switch {
	case p.placed:
		sel.ticket = p.ticket
	case s.balancer != nil:
		sel.ticket = s.balancer.Charge(q.req, sel.ID, warm)
	}
}

// open returns the candidates that take sessions which are not theirs yet: those
// that are not drained, and not the one called except. It may return candidates
// itself, or none.
func (s *Selector[T]) open(candidates []T, except string) []T {
	if except == "" && !s.cache.targets.Drains() {
		return candidates
	}
	closed := func(c T) bool {
		id := s.cfg.ID(c)
		return id == except || s.cache.targets.Draining(id)
	}
	if !slices.ContainsFunc(candidates, closed) {
		return candidates // so it is where the home is gone
	}
	return slices.DeleteFunc(slices.Clone(candidates), closed)
}

// fall asks the fallback, and holds it to its contract. Targets that are
// drained, and the one called except, are chosen only if there is no other.
func (s *Selector[T]) fall(ctx context.Context, req *extract.Request, candidates []T, except string) (pick, error) {
	offered := s.open(candidates, except)
	if len(offered) == 0 {
		offered = candidates
	}
	p := pick{i: -1}
	var target T
	var err error
	if s.balancer != nil {
		target, p.ticket, err = s.balancer.Place(ctx, req, offered)
		p.placed = true
	} else {
		target, err = s.cfg.Fallback.Pick(ctx, req, offered)
	}
	if err != nil {
		return pick{i: -1}, fmt.Errorf("affinity: fallback: %w", err)
	}
	id := s.cfg.ID(target)
	for i, c := range candidates {
		if s.cfg.ID(c) == id {
			p.i = i
			return p, nil
		}
	}
	if p.placed {
		s.balancer.Cancel(id, p.ticket)
	}
	return pick{i: -1}, ErrNotCandidate
}

// refund tells the Balancer that the request does not go where it was placed.
func (s *Selector[T]) refund(candidates []T, p *pick) {
	if p.placed {
		s.balancer.Cancel(s.cfg.ID(candidates[p.i]), p.ticket)
		p.placed = false
	}
}

// standing is what a request has to go by.
type standing struct {
	located        // the binding: its own, or the one that it takes over; no target if none
	session Digest // of the session, whether it has a binding or not
	own     bool   // it is its own
	stays   bool   // it belongs to the same conversation
}

func (s *Selector[T]) standing(q *query) standing {
	st := standing{session: q.root.digest(scopeOf(q.within))}
	if l, ok := s.cache.lookup(q.key, q.now); ok {
		return standing{l, l.session(), true, true}
	}
	if l, ok := s.asideOf(q.key, q.now); ok {
		return standing{l, l.session(), false, true}
	}
	for _, id := range q.sess.Continues {
		key := s.cache.key(q, id)
		l, ok := s.cache.lookup(key, q.now)
		if !ok {
			l, ok = s.asideOf(key, q.now)
		}
		if ok {
			return standing{l, l.session(), false, true}
		}
	}
	if q.starts {
		if q.sess.ParentThread != "" {
			if l, ok := s.cache.lookup(s.cache.threadKey(q, q.sess.ParentThread), q.now); ok {
				st.located = l
				return st
			}
		}
		if l, ok := s.cache.lookup(q.root, q.now); ok {
			st.located, st.session = l, l.session()
			return st
		}
	}
	q.req.Complete(&q.sess)
	if s.cfg.Threads == ThreadsStart && q.sess.Parent != "" {
		if l, ok := s.cache.lookup(s.cache.key(q, q.sess.Parent), q.now); ok {
			st.located = l
			return st
		}
	}
	for _, id := range q.sess.Near {
		if l, ok := s.cache.lookup(s.cache.key(q, id), q.now); ok {
			st.located = l
			return st
		}
	}
	return st
}

// asideOf returns the second place of a session whose home is gone: it was away for
// too long, or has failed for good. That is its home, then.
func (s *Selector[T]) asideOf(key Key, now int64) (located, bool) {
	if !s.cache.asides.Load() {
		return located{}, false
	}
	return s.cache.lookup(key.aside(), now)
}

// pinned finds the target that holds state which the request refers to. It returns
// the place of the first among the candidates, or -1; and the ID of one that is not
// among them, or "". With a place it looks no further, unless FailPinned is set.
func (s *Selector[T]) pinned(q *query, candidates []T) (i int, absent string) {
	i = -1
	if !s.cache.learned.Load() {
		return i, "" // and no look at the body
	}
	for _, id := range q.req.Pins() {
		l, ok := s.cache.lookup(s.cache.stateKey(q.within, id), q.now)
		if !ok {
			continue
		}
		at := s.index(l.target, candidates)
		switch {
		case at < 0 && absent == "":
			absent = l.target.Name
		case at >= 0 && i < 0:
			i = at
		}
		if i >= 0 && !s.cfg.FailPinned {
			break
		}
	}
	return i, absent
}

const smallBody = 16 << 10

// place finds a home for a session that has none among the candidates. Of
// several requests at once, one does so and the others wait for it.
func (s *Selector[T]) place(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	// What the body says of the class is asked for only here, where a binding
	// is made or moved. A large one need not be read to move: a side call that
	// carries the conversation leaves its prompt where it goes.
	if q.beside || !s.cfg.SideCalls && (!q.known || len(q.req.Body) <= smallBody) && q.req.Class().Beside() {
		return s.follow(ctx, q, candidates, sel)
	}
	done, first := s.flights.Join(q.key.k)
	if first {
		defer s.flights.Leave(q.key.k) // also when the fallback panics
		return s.settle(ctx, q, candidates, sel)
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("affinity: waiting for another request to place the session: %w", ctx.Err())
	}
	// If the other one failed, or its target is not for us, do not queue up
	// again: a fallback that fails slowly would be asked by one after another.
	q.now = s.cache.now()
	return s.settle(ctx, q, candidates, sel)
}

// follow sends a side call where its session would go, and stores nothing.
func (s *Selector[T]) follow(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	q.beside = true
	st := s.standing(q)
	reason, p, from := ReasonSideCall, pick{i: -1}, ""
	switch i, absent := s.pinned(q, candidates); {
	case s.cfg.FailPinned && absent != "":
		return &PinnedError{absent}
	case i >= 0:
		reason, p.i = ReasonPinned, i
	case st.target != nil:
		home := s.index(st.target, candidates)
		other, j := s.second(q, &st, candidates)
		v := s.judge(q, &st, candidates, home, &other, j)
		if reason, p.i, from = v.reason, v.i, v.from; reason == ReasonExpired { // that does not matter to it
			reason, p.i, from = ReasonInherited, home, ""
		}
	}
	if p.i < 0 {
		var err error
		if p, err = s.fall(ctx, q.req, candidates, ""); err != nil {
			return err
		}
		reason, from = ReasonSideCall, ""
	}
	s.unbound(q, candidates, &p, reason, sel)
	sel.Session, sel.From = st.session, from
	return nil
}

// second finds the second place of a session, and its place among the
// candidates, -1 if it is not among them or of no use.
func (s *Selector[T]) second(q *query, st *standing, candidates []T) (located, int) {
	if !s.cache.asides.Load() || st.aside() {
		return located{}, -1
	}
	l, ok := s.cache.lookup(st.key.aside(), q.now)
	if !ok || !s.believed(&l, q.ttl) {
		return l, -1
	}
	return l, s.index(l.target, candidates)
}

// verdict is where a session goes that has a binding, and what it keeps.
type verdict struct {
	reason Reason
	i      int    // a candidate; -1 leaves the choice to the fallback
	except string // what the fallback had better not choose
	from   string // for the Decision
	detour bool   // the home stays what it is
	cold   bool   // the candidate is not likely to have the prompt
	second which  // what becomes the second place
}

// which names one of the places of a session.
type which uint8

const (
	neither which = iota
	theHome
	theAside
)

// judge decides about a session that has, or inherits, the binding st. Its home
// has place i among the candidates; its second place is other and has place j.
func (s *Selector[T]) judge(q *query, st *standing, candidates []T, i int, other *located, j int) verdict {
	home, traits := st.target.Name, st.target.Traits
	returning := s.cfg.Failover == FailoverReturn && st.stays
	aside := returning && other.target != nil && other.Expires > st.Expires // the second place served last
	away := aside && j >= 0                                                 // and could again
	leaving := s.cache.targets.Draining(home)
	stale := !s.believed(&st.located, q.ttl)
	elsewhere := other.target != nil && other.target != st.target
	if j >= 0 && !away && (!elsewhere || s.cache.targets.Draining(other.target.Name)) {
		j = -1 // it takes nobody in
	}
	switch {
	case st.target.Dead(), // invalidated since we looked
		!st.stays && j < 0 && (i < 0 || leaving || stale): // that of a neighbour or of what started it
		return verdict{reason: ReasonNew, i: -1}
	case i < 0 && returning && !stale && !leaving, // keep the home, go aside
		away && !stale && !leaving && !s.mayReturn(q, st):
		v := verdict{reason: ReasonFailover, i: j, from: home, detour: true}
		if away {
			v.reason = ReasonDetour
		}
		return v
	case away && (i < 0 || stale || leaving): // give up the home for the detour
		return verdict{reason: ReasonDetour, i: j, from: home}
	case away:
		return verdict{reason: ReasonReturned, i: i, from: other.target.Name, second: theAside}
	case i < 0, traits.Drained(q.now) && (j >= 0 || len(s.open(candidates, home)) > 0):
		v := verdict{reason: ReasonFailover, i: j, from: home, except: home}
		if st.stays && !stale && !leaving {
			v.second = theHome
		}
		return v
	case aside && !stale && elsewhere: // home, since the second place has gone
		return verdict{reason: ReasonReturned, i: i, from: other.target.Name, second: theAside}
	case traits.Drained(q.now):
		return st.stay(i, other) // nobody else takes it
	case stale && !(st.stays && q.pinned()):
		return verdict{reason: ReasonExpired, i: -1, from: home}
	case s.crowded(q, st.target) && !q.pinned() && (j >= 0 || !elsewhere && len(s.open(candidates, home)) > 0) && traits.Leave(q.now):
		return verdict{reason: ReasonOverload, i: j, from: home, except: home, second: theHome}
	}
	return st.stay(i, other)
}

// stay has the session go on at st, which has place i among the candidates.
func (st *standing) stay(i int, other *located) verdict {
	v := verdict{reason: ReasonInherited, i: i, cold: !st.stays}
	switch {
	case st.own || st.aside():
		v.reason = ReasonBound
	case st.stays && other.target != nil:
		v.second = theAside
	}
	return v
}

// mayReturn reports whether a session that is away from its home goes back to
// it: it is its turn, and the request does not go on from state that is more
// likely to be where it was last.
func (s *Selector[T]) mayReturn(q *query, st *standing) bool {
	return st.target.Traits.Presence.Awaits(q.now, st.session.fraction()) && !q.pinned()
}

// settle answers with the home that the session has got meanwhile, or binds it
// to the one that holds its state, that it inherits or that the fallback
// chooses.
func (s *Selector[T]) settle(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	st := s.standing(q)
	v := verdict{reason: ReasonNew, i: -1}
	var other located
	if st.target != nil {
		i := s.index(st.target, candidates)
		if st.stays {
			s.watch(st.target, i, q.now)
		}
		var j int
		other, j = s.second(q, &st, candidates)
		v = s.judge(q, &st, candidates, i, &other, j)
	}
	if !st.own || v.reason != ReasonBound || s.strict() {
		var err error
		if v, err = s.pin(q, candidates, &st, &other, v); err != nil {
			return err
		}
	}
	p := pick{i: v.i}
	if p.i < 0 {
		var err error
		if p, err = s.fall(ctx, q.req, candidates, v.except); err != nil {
			return err
		}
	}
	q.now = s.cache.now() // as it is after the fallback, to the instant
	gone := false
	if st.target != nil && v.i < 0 {
		if _, ok := s.cache.lookup(st.key, q.now); !ok { // invalidated while the fallback was asked
			gone, v.detour, v.second = true, false, neither
		}
	}
	if v.reason == ReasonOverload && !gone && s.balancer.Overloaded(s.cfg.ID(candidates[p.i])) {
		// Nobody is better off, so nobody moves.
		s.refund(candidates, &p)
		v = st.stay(s.index(st.target, candidates), &other)
		p.i = v.i
	}
	if s.cfg.ID(candidates[p.i]) == "" {
		s.refund(candidates, &p)
		return ErrNoID
	}
	switch {
	case st.own && st.state() && v.reason != ReasonBound:
		// State does not move with the request.
		s.unbound(q, candidates, &p, v.reason, sel)
		sel.Session, sel.From = st.session, v.from
		return nil
	case st.own && (v.reason == ReasonBound || v.reason == ReasonReturned):
		sel.at = st.located
		s.hit(q, candidates[p.i], v.reason, sel)
	case v.detour:
		s.bindAside(q, &st, &other, candidates, &p, &v, sel)
	default:
		s.bind(q, &st, &other, candidates, &p, &v, sel)
	}
	sel.From = v.from
	if st.stays && sel.Reason != ReasonDetour {
		sel.Idle, sel.stayed = s.away(&st.located, q.ttl)
		sel.stayed = sel.stayed && sel.ID == st.target.Name
	}
	return nil
}

// pin returns the verdict v, or another one if the request refers to state that
// some candidate holds. The error is a *PinnedError.
func (s *Selector[T]) pin(q *query, candidates []T, st *standing, other *located, v verdict) (verdict, error) {
	i, absent := s.pinned(q, candidates)
	switch {
	case s.cfg.FailPinned && absent != "":
		return v, &PinnedError{absent}
	case i >= 0 && i == v.i && v.reason != ReasonInherited: // it goes there anyway
	case i >= 0:
		was, second := &st.located, theHome
		if v.reason == ReasonDetour {
			was, second = other, theAside
		}
		moved := v.from != "" || v.reason == ReasonBound
		v = verdict{reason: ReasonPinned, i: i}
		if moved && was.target != nil && was.target.Name != s.cfg.ID(candidates[i]) {
			v.from, v.second = was.target.Name, second
		}
	case s.cfg.FailPinned && v.reason == ReasonFailover && st.stays && q.pinned():
		return v, &PinnedError{v.from}
	}
	return v, nil
}

// bind makes candidate p the session's home, unless the session has got one
// among the candidates since it was looked up: then that is the answer. A rival
// home that is not among the candidates gives way.
func (s *Selector[T]) bind(q *query, st *standing, other *located, candidates []T, p *pick, v *verdict, sel *Selection[T]) {
	var stamp uint32
	if st.own {
		stamp = st.Stamp()
	}
	if !s.write(q, q.key, stamp, st.session, candidates, p, v, sel) {
		return
	}
	var second *located
	switch v.second {
	case theHome:
		second = &st.located
	case theAside:
		second = other
	}
	if second != nil && second.target.Name == sel.ID {
		second = nil
	}
	if second != nil {
		raise(&s.cache.asides)
		s.remember(q, q.key, second, sel.Session)
	} else if v.reason == ReasonDetour { // it is the home now
		s.cache.Delete(q.key.aside())
	}
	for _, alias := range q.sess.Aliases {
		key := s.cache.key(q, alias)
		l, _ := s.cache.bind(key, table.Any, sel.ID, uint64(sel.Session), q.now, q.now+q.ttl, q.lease)
		sel.kin.add(key, l.Found, q.lease)
		if second != nil {
			s.remember(q, key, second, sel.Session)
		}
	}
}

// remember makes l the second place of the session that has key.
func (s *Selector[T]) remember(q *query, key Key, l *located, session Digest) {
	s.cache.set(key.aside(), l.target.Name, uint64(session|asideBit), q.now, l.Expires)
}

// bindAside is bind for a detour: the home stays what it is.
func (s *Selector[T]) bindAside(q *query, st *standing, other *located, candidates []T, p *pick, v *verdict, sel *Selection[T]) {
	raise(&s.cache.asides)
	id := s.cfg.ID(candidates[p.i])
	if !st.own {
		s.cache.bind(q.key, 0, st.target.Name, uint64(st.session), q.now, st.Expires, false)
	}
	var stamp uint32
	if other.key == q.key.aside() {
		if stamp = other.Stamp(); id == other.target.Name {
			s.refund(candidates, p)
			sel.at = *other
			s.copyAside(q, st, &sel.at)
			s.hit(q, candidates[p.i], v.reason, sel)
			return
		}
	}
	if s.write(q, q.key.aside(), stamp, st.session|asideBit, candidates, p, v, sel) {
		s.copyAside(q, st, &sel.at)
		s.useCopies(q, sel)
	}
}

// copyAside makes the second place of the session, at, that of its aliases as well.
func (s *Selector[T]) copyAside(q *query, st *standing, at *located) {
	for _, alias := range q.sess.Aliases {
		key := s.cache.key(q, alias)
		if !st.own {
			s.cache.set(key, st.target.Name, uint64(st.session), q.now, st.Expires)
		} else if _, ok := s.cache.copyOf(q, &st.located, alias, q.now); !ok {
			continue
		}
		if _, ok := s.cache.copyOf(q, at, alias, q.now); !ok {
			s.cache.set(key.aside(), at.target.Name, at.Mark(), q.now, q.now+q.ttl)
		}
	}
}

// write binds key to candidate p and makes the Selection, unless key has got
// another candidate since it had the given stamp: then it makes a Selection of
// that, which v says from then on, and reports false.
func (s *Selector[T]) write(q *query, key Key, stamp uint32, mark Digest, candidates []T, p *pick, v *verdict, sel *Selection[T]) bool {
	id := s.cfg.ID(candidates[p.i])
	for {
		var ok bool
		sel.at, ok = s.cache.bind(key, stamp, id, uint64(mark), q.now, q.now+q.ttl, q.lease)
		if ok {
			s.bound(q, candidates[p.i], v.reason, sel)
			sel.leased = q.lease
			s.charge(q, p, !v.cold, sel)
			return true
		}
		if sel.at.target != nil {
			if i := s.index(sel.at.target, candidates); i >= 0 {
				s.refund(candidates, p)
				if sel.at.aside() {
					v.reason = ReasonDetour
				} else {
					v.reason, v.from = ReasonBound, ""
				}
				s.hit(q, candidates[i], v.reason, sel)
				return false
			}
		}
		stamp = sel.at.Stamp()
	}
}
