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
	// ID returns what a target is called: a non-empty string that is unique among the
	// candidates and the same in every run of the program, such as the name of an
	// account. (Of two with the same ID, one may never be chosen.) It gets into logs and
	// errors, so it must not be a secret: if an API key has no name, use a hash of it. ID is
	// called several times for each request, with candidates and with what Fallback chose
	// (with nil only if a candidate is nil), so it must be quick and safe for concurrent
	// use. A replica that has restarted has an empty cache: let its ID change then, say with
	// its address, or call Selector.InvalidateTarget.
	ID func(target T) string

	// Fallback chooses the target of a request that has no session, of a session
	// that has no binding, and of a session whose home is not among the candidates.
	// If it is a Balancer, such as balance.LeastCost, it is told of every
	// request and of its outcome.
	Fallback Picker[T]

	// Extractor finds the session of a request. nil means extract.Default(). Of a Chain, New
	// makes a copy.
	Extractor extract.Extractor

	// Tenant returns whose request it is; extract.Credential is a good choice. Sessions of
	// different tenants never meet, whatever ids they send; nor do those of one tenant in
	// different scopes (Request.Scope). Tenant may return a secret, since only a keyed hash
	// is kept, and must be safe for concurrent use. It is not asked about a nil req. nil
	// leaves it to Request.Scope alone.
	Tenant func(req *extract.Request) string

	// Threads says where the threads of a session go, such as sub-agents. The zero
	// value is ThreadsStart.
	Threads ThreadPolicy

	// Failover says what becomes of a session whose home is not among the
	// candidates. The zero value is FailoverRebind.
	Failover FailoverPolicy

	// SideCalls treats side calls (extract.Class.SideCall: probes, titles, compaction and
	// the like) as turns, which make, move and refresh bindings. By default a side call
	// goes where the session's binding says and leaves no trace, whatever becomes of it.
	//
	// A body is read to tell a side call from a turn only if the request would make or
	// move a binding, and only if the body is no larger than 16 kB or the session is not
	// Explicit. Otherwise, a side call that only its body tells apart counts as a turn.
	SideCalls bool

	// FailPinned makes Select fail with a *PinnedError rather than send a request to any
	// upstream but the one that holds the state it refers to (extract.Request.Pins). By
	// default such a request goes to its session's home like any other or, without a
	// home, to where its state is known to be; if the state is not there, the upstream
	// says so.
	//
	// With FailPinned, state whose place is known (Selection.Learn) takes precedence over
	// the session's binding; bodies are read to find it. State of which nothing was
	// learned is taken to be at the session's home, or at the detour that serves in its
	// place. If the session has neither, the request may go anywhere.
	FailPinned bool

	// TTL is how long a binding lives after its last use. 0 means DefaultTTL. More
	// than four years are taken as four years.
	//
	// It is an upper bound. Where outcomes tell how much of each prompt was cached, the
	// Selector learns how long each target keeps prompts. A session that was idle for
	// longer has nothing to lose, and is placed anew (ReasonExpired). One in sixteen goes
	// home nevertheless, to find out whether prompts are kept for longer by now. Learning a
	// lifetime takes at least three turns that came within a minute of the one before, and
	// then three that came after about the same longer pause and had less than half as much
	// cached, all with prompts of 2,048 tokens or more and after one that the target served.
	TTL time.Duration

	// Lifetime returns how long the bindings of a session live after their last use,
	// in place of TTL: less, say, for a session that is Derived. 0 or less means TTL;
	// more than four years are taken as four years. nil means TTL for all. It must be
	// safe for concurrent use.
	//
	// It must return the same for all turns and threads of a session, since the last use
	// of a binding is worked out from its end. It is also asked about state that is
	// learned (Selection.Learn), as a session with the Source "state". When the Cache is
	// full, the bindings that end first make room, however recently they were used. Those
	// of requests under way count as ending an hour later.
	Lifetime func(s extract.Session) time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity.
	//
	// A session that is named by an id takes one binding, and one more for each thread.
	// A session that is recognised by its messages takes some four, and up to fifteen, for
	// every text that a person wrote; the older ones expire while the conversation goes
	// on. A session that has moved takes twice as many for as long as its former place
	// is remembered.
	Capacity int

	// Cache holds the bindings. nil means a new one, of the given TTL and Capacity. If it
	// is set, TTL and Capacity must be 0, since the Cache has its own; for another TTL,
	// set Lifetime.
	//
	// Selectors may share a Cache, or hand it on when a configuration is replaced.
	// Sessions then stay where they are, as long as targets keep their IDs, and Tenant
	// and Extractor name sessions as before. Drains and what was learned about targets
	// and ids stay, too. Hand on a Balancer as well, since what it knows is not in the
	// Cache. Selectors that place the same sessions among different targets, such as
	// providers and then keys, need a Cache each, or they take sessions from each other.
	Cache *Cache
}

// A ThreadPolicy says where the threads of a session go, such as sub-agents. A thread has
// the session's identity, but a prompt of its own. A session that names a Parent goes where
// a thread of the Parent would.
type ThreadPolicy uint8

const (
	// ThreadsStart: a thread starts at the home of what started it. From then on it has a
	// binding of its own, and moves without the others.
	ThreadsStart ThreadPolicy = iota

	// ThreadsShare: a thread has no binding but its session's.
	ThreadsShare

	// ThreadsSpread: the fallback places each thread as if it were a session. If an agent
	// starts dozens at once, they do not all land on one target.
	ThreadsSpread
)

// A FailoverPolicy says what becomes of a session whose home is not among the
// candidates. With either policy, a session that has to move again goes back to where
// it was before, if it can, rather than to a third target. If the target then fails the
// request, and no Usage is reported, the failover is undone ([TransientFailure]). So a
// session whose request fails at all targets is left at its home. (It may not be if several
// of its requests fail like that at a time. Of a detour that had served, nothing is left.)
type FailoverPolicy uint8

const (
	// FailoverRebind: the target that serves in the home's place is the home from
	// then on.
	FailoverRebind FailoverPolicy = iota

	// FailoverReturn: the home stays the home. Another target serves, always the same
	// one, until the home is among the candidates again. After an outage, sessions come
	// back one by one, over as long as the outage took but at most five minutes. Until then,
	// their new threads start at the detour. Those that are known by their messages alone wait
	// while the home is overloaded. A home that is away for longer than it keeps prompts, or
	// than the TTL, is given up.
	//
	// What the fallback chose is the home even if it fails at once, so the session would
	// move there later without ever having been there. If a request with ReasonNew,
	// ReasonExpired or ReasonOverload fails at once, report a TerminalFailure, unless it
	// refers to state, which may be there.
	FailoverReturn
)

// A Selector keeps sessions at their targets.
//
// For every request, its extractor names the session. The Selector looks for the
// session's binding and answers with the home if that is among the candidates. Where
// nothing that is stored says where else the session could go, the fallback chooses, and
// its choice mostly becomes the session's home. The package documentation has the rules.
//
// Use [New]. All methods are safe for concurrent use. A request whose session is at home
// takes no lock, unless the fallback is a Balancer that takes one or the session is
// Conventional; a request whose session is on a detour takes one.
type Selector[T any] struct {
	cfg      Config[T]
	chain    extract.Chain // cfg.Extractor, or a chain of it alone
	trails   bool          // extract.Trail is in it
	balancer Balancer[T]   // cfg.Fallback, if it is one; else nil
	cache    *Cache
	start    int64 // when the Selector was made, by the cache's clock
	closed   atomic.Bool

	_        [64]byte      // what follows is written to; keep it off the cache lines that all requests read
	flights  flight.Group  // the bindings that are being placed
	selected tally.Counter // by Reason; 0 counts the errors
	outcomes tally.Counter // by Result
}

const _ = uint(tally.Kinds - reasonsEnd) // does not compile if a Counter has too few kinds

var _ Picker[int] = (*Selector[int])(nil)

// New returns a Selector. The error, if any, names the field of the
// configuration that is at fault.
func New[T any](cfg Config[T]) (*Selector[T], error) {
	switch {
	case cfg.ID == nil:
		return nil, errors.New("affinity: Config.ID is nil: say what a target is called")
	case isNil(cfg.Fallback):
		return nil, errors.New("affinity: Config.Fallback is nil: give a Picker, for example balance.RoundRobin")
	case cfg.Extractor != nil && isNil(cfg.Extractor):
		return nil, errors.New("affinity: Config.Extractor is a nil function: leave it unset to have extract.Default")
	case cfg.Threads > ThreadsSpread:
		return nil, errors.New("affinity: Config.Threads is not a ThreadPolicy: want ThreadsStart, ThreadsShare or ThreadsSpread")
	case cfg.Failover > FailoverReturn:
		return nil, errors.New("affinity: Config.Failover is not a FailoverPolicy: want FailoverRebind or FailoverReturn")
	case cfg.TTL < 0:
		return nil, errors.New("affinity: Config.TTL is negative: want 0 for DefaultTTL, or more")
	case cfg.Capacity < 0:
		return nil, errors.New("affinity: Config.Capacity is negative: want 0 for DefaultCapacity, or more")
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
		if has(e, func(e extract.Extractor) bool { return isNil(e) }) {
			return nil, errors.New("affinity: Config.Extractor is a Chain that has a nil in it: leave that out")
		}
		s.chain = clone(e)
	default:
		s.chain = extract.Chain{e}
	}
	s.trails = has(s.chain, func(e extract.Extractor) bool { return e == extract.Trail() })
	if s.cache == nil {
		s.cache, _ = NewCache(CacheConfig{TTL: cfg.TTL, Capacity: cfg.Capacity}) // checked above
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

// clone returns a copy of chain, with copies of the Chains that are in it: the caller may make
// others of them.
func clone(chain extract.Chain) extract.Chain {
	chain = slices.Clone(chain)
	for i, e := range chain {
		if inner, ok := e.(extract.Chain); ok {
			chain[i] = clone(inner)
		}
	}
	return chain
}

// has reports whether there is such an Extractor in chain, or in a Chain that is in it.
func has(chain extract.Chain, such func(extract.Extractor) bool) bool {
	return slices.ContainsFunc(chain, func(e extract.Extractor) bool {
		inner, _ := e.(extract.Chain)
		return such(e) || has(inner, such)
	})
}

// How this file works.
//
// A request passes through
//
//	decide
//	    identify             which session is it, and by what keys is it stored?
//	    serveHome            the hit path: the home is among the candidates
//	        serveDetour      the same for a session that is away from its home
//	    place                any other session; its requests wait for the first of them
//	        placeSideCall    go where the session goes, store nothing
//	        settle           survey what is stored, judge, ask the fallback, bind
//	    sessionless          there is no session
//
// and its outcome through Selection.Done and finish.
//
// What is stored of a session are records in the Cache:
//
//   - Its binding, by the key of the session or of its thread. The target is the home.
//   - Its second place, by the aside of that key, with asideBit in its mark: the detour
//     while the home is away, or where the session was before it moved.
//   - Copies of both by the keys of its aliases, for later turns to find by their
//     Continues and Near. A copy has the target and the mark of the original. If one of
//     them differs, another turn has put its own binding there.
//   - State on a target that was learned, by its stateKey, with stateBit in its mark.
//
// Of the home and the second place, the one that expires later is where the session was
// last. So whatever moves a session has to make its new place expire later than the other
// one, if only by a nanosecond (see endBefore); only a use that moves nothing may lag (see
// Cache.lag).
//
// No lock is held between a look-up and what is done about it, and the record may be
// replaced meanwhile. Each record has a stamp of its own, so code that must not undo
// what another request has done names the stamp that it goes by (see Cache.bind).

// Pick is Select for callers that want nothing but the target. No outcome can be
// reported, so the binding lives for a TTL from now, however long the answer takes. A
// caller that never learns the outcome, but wants the Decision, can Select and call Done
// with the zero Outcome at once.
//
// Pick makes a Selector a [Picker], which can be the fallback of another Selector. The
// inner one is asked only where the outer one places a session, so give it a TTL as long as
// sessions last. A [Balancer] that is its fallback goes by its estimates, since it is told
// of no outcome.
func (s *Selector[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	var sel Selection[T]
	err := s.decide(ctx, req, candidates, false, &sel)
	return sel.Target, err
}

// Select chooses one of the candidates for req: the home of its session, if possible.
// The candidates are the targets that are usable for this very request. Their order does
// not matter to a session that has a binding. A nil req is a request without a session.
// Select keeps neither req nor candidates.
//
// When several first requests of a session come in at once, one of them asks the
// fallback, and the others wait for its answer. If the fallback fails, each of the
// others asks for itself. A request whose ctx ends while it waits gets the error of ctx,
// wrapped.
//
// The other errors are [ErrNoCandidates], [ErrNotCandidate], [ErrNoID], a
// [*PinnedError], and whatever the fallback returns, wrapped. An error leaves all
// bindings as they were, and comes with the zero Selection.
func (s *Selector[T]) Select(ctx context.Context, req *extract.Request, candidates []T) (sel Selection[T], err error) {
	err = s.decide(ctx, req, candidates, true, &sel)
	return // a named result, so that no Selection is copied
}

// decide is Select, with a lease on the binding or without. It fills in sel, which must
// be zero, and leaves its Reason 0 if there is an error.
func (s *Selector[T]) decide(ctx context.Context, req *extract.Request, candidates []T, lease bool, sel *Selection[T]) (err error) {
	var q query
	switch {
	case len(candidates) == 0:
		err = ErrNoCandidates
	case !s.identify(&q, req) || s.closed.Load():
		q.sess = extract.Session{}
		err = s.sessionless(ctx, &q, candidates, sel)
	default:
		q.lease = lease
		if !s.serveHome(&q, candidates, sel) {
			sel.at = located{}
			err = s.place(ctx, &q, candidates, sel)
		}
		if q.common != (table.Key{}) && err == nil {
			sel.Conversations = s.count(&q)
		}
	}
	s.selected.Add(uint8(sel.Reason))
	return err
}

// sessionless answers a request without a session. It goes to the target of the state
// that it refers to, if that is known and a candidate, and otherwise where the fallback
// says.
func (s *Selector[T]) sessionless(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	v := verdict{reason: ReasonNoSession, pick: nobody}
	if q.req != nil && s.cache.learned.Load() && !s.closed.Load() {
		q.now = s.cache.now()
		if err := s.heedState(q, &standing{}, candidates, &v); err != nil {
			return err
		}
	}
	return s.serveUnbound(ctx, q, candidates, &v, sel)
}

// -- What a request asks for --

// maxCommon is how many conversations may have an id in common that is Conventional. If
// there are more, it names none of them: see tellApart.
const maxCommon = 64

// A query is what a request asks for, as identify finds it out.
type query struct {
	req    *extract.Request // may be nil
	sess   extract.Session
	within digest.Sum // tenant and scope: see Cache.within
	source digest.Sum // within, and sess.Source: what the keys of the session's ids begin with
	common table.Key  // of the session's id, if that is Conventional
	root   Key        // of the session
	key    Key        // of the binding: root, or that of the session's thread
	ttl    int64      // of the binding
	now    int64      // when the request came; set again by whatever waits
	beside bool       // it is a side call: it follows the binding and leaves no trace
	starts bool       // it is a thread that takes over the binding of what started it
	lease  bool       // the binding is to be kept alive until Done, but for a side call; set by decide
}

// identify asks the extractor whose request req is, and reports whether it has a
// session. If it has none, only req and within are set, the latter unless req is nil.
func (s *Selector[T]) identify(q *query, req *extract.Request) bool {
	q.req = req
	if req == nil {
		return false
	}
	var tenant string
	if s.cfg.Tenant != nil {
		tenant = s.cfg.Tenant(req)
	}
	q.within = s.cache.within(tenant, req.Scope)
	if !s.chain.Find(req, &q.sess) {
		return false
	}
	if q.sess.Confidence == extract.Conventional {
		q.common = keyOf(s.cache.secret.Add(s.cache.kinds.Add(q.within, q.sess.Source), q.sess.ID)).k
		if s.trails && s.cache.openings.Seen(q.common) > maxCommon {
			s.tellApart(q)
		}
	}
	// Who started the session is looked up here only if its key or its lifetime may
	// depend on that; else only if it has no binding: see findStanding.
	if s.cfg.Threads == ThreadsShare || s.cfg.Lifetime != nil {
		req.Complete(&q.sess)
	}
	if s.cfg.Threads == ThreadsShare && q.sess.Parent != "" {
		q.sess.ID = q.sess.Parent
	}
	if slices.Contains(q.sess.Aliases, q.sess.ID) { // the copy would replace the binding
		q.sess.Aliases = slices.DeleteFunc(slices.Clone(q.sess.Aliases), func(id string) bool { return id == q.sess.ID })
	}
	q.source = s.cache.kinds.Add(q.within, q.sess.Source)
	q.root = q.idKey(s.cache, q.sess.ID)
	q.key = q.root
	if q.sess.Thread != "" && s.cfg.Threads != ThreadsShare {
		q.key = q.threadKey(s.cache, q.sess.Thread)
		q.starts = s.cfg.Threads == ThreadsStart
	}
	q.ttl = s.lifetime(&q.sess)
	q.beside = !s.cfg.SideCalls && q.sess.Class.SideCall()
	if q.now = s.cache.clock.Now(); q.ttl < int64(exactTTL) {
		q.now = s.cache.now()
	}
	return true
}

// tellApart has the conversation of q known by its messages or, if it shows none, by the
// state that it goes on from. If it is not known where that is, its id has to do.
func (s *Selector[T]) tellApart(q *query) {
	t, ok := extract.Trail().Extract(q.req)
	if !ok {
		t, _ = extract.State().Extract(q.req)
		l, _ := s.cache.lookup(s.cache.stateKey(q.within, t.ID), s.cache.now())
		ok = l.state() // and not a session that has the name of state which was not learned
	}
	if ok {
		q.sess = t
	}
}

// count returns how many conversations have the id of q in common, with that of its request.
// Side calls and sub-agents do not begin as their conversation does, and count for nothing.
func (s *Selector[T]) count(q *query) int {
	opening, ok := q.req.Opening()
	if !ok { // it does not show which of them it is
		return s.cache.openings.Seen(q.common)
	}
	n, known := s.cache.openings.Has(q.common, opening)
	if known {
		return n
	}
	if class := q.req.Class(); class.SideCall() || class == extract.Subagent {
		return n
	}
	return s.cache.openings.See(q.common, opening)
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

// idKey returns the key of an id from the Source of the session.
func (q *query) idKey(c *Cache, id string) Key { return keyOf(c.secret.Add(q.source, id)) }

// threadKey returns the key of a thread of the session.
func (q *query) threadKey(c *Cache, thread string) Key {
	return keyOf(c.secret.Add(c.secret.Add(q.source, q.sess.ID), thread))
}

// starters returns the keys of the bindings that a thread could take over: that of the
// thread which started it, if there is one, and that of its session.
func (q *query) starters(c *Cache) [2]Key {
	keys := [2]Key{q.root, q.root}
	if q.sess.ParentThread != "" {
		keys[0] = q.threadKey(c, q.sess.ParentThread)
	}
	return keys
}

// relatedKeys returns the keys of all records that the session could take over, or that are
// copies of its own.
func (q *query) relatedKeys(c *Cache) []Key {
	var keys []Key
	if q.starts {
		starters := q.starters(c)
		keys = append(keys, starters[:]...)
	}
	for _, ids := range [][]string{q.sess.Aliases, q.sess.Continues, q.sess.Near} {
		for _, id := range ids {
			keys = append(keys, q.idKey(c, id))
		}
	}
	return keys
}

// refersToState reports whether the request refers to state on its upstream. It reads
// the body. What was not learned is likely to be where the session was last.
func (q *query) refersToState() bool { return len(q.req.Pins()) > 0 }

// copyOf finds the copy of the record l, which is a home or a second place, that
// was stored by an alias. It reports false if that has been replaced or has gone.
func (q *query) copyOf(c *Cache, l *located, alias string, now int64) (located, bool) {
	key := q.idKey(c, alias)
	if l.aside() {
		key = key.aside()
	}
	found, ok := c.lookup(key, now)
	return found, ok && found.target == l.target && found.Mark() == l.Mark()
}

// stateFirst reports whether known state takes precedence over a session's binding,
// and there may be some.
func (s *Selector[T]) stateFirst() bool { return s.cfg.FailPinned && s.cache.learned.Load() }

// index returns the index of t among the candidates, or -1. It looks first where t stood
// the last time, since lists of candidates seldom change, and then from a little before
// that on, since they seldom change much.
func (s *Selector[T]) index(t *registry.Target, candidates []T) int {
	hint, n := int(t.Hint.Load()), len(candidates)
	if hint < n && s.cfg.ID(candidates[hint]) == t.Name {
		return hint
	}
	i := max(0, min(hint, n)-8)
	for range n {
		if i == n {
			i = 0
		}
		if s.cfg.ID(candidates[i]) == t.Name {
			t.Hint.Store(uint32(i))
			return i
		}
		i++
	}
	return -1
}

// -- Hits: the session goes on where it is --

// serveHome answers with the home of the session's binding, or with its detour, if that
// is among the candidates and nothing speaks against it. If it reports false, place has
// to decide; sel.at may be set then, and nothing else.
func (s *Selector[T]) serveHome(q *query, candidates []T, sel *Selection[T]) bool {
	l := &sel.at
	if !s.cache.locate(q.key, q.now, l) {
		return false
	}
	i := s.index(l.target, candidates)
	if s.cfg.Failover == FailoverReturn {
		if served, away := s.serveDetour(q, l, i, candidates, sel); away {
			return served
		}
	}
	if i < 0 || !s.worthFollowing(l, q.ttl) || s.shouldYield(q, l.target) || s.stateFirst() && q.refersToState() {
		return false
	}
	s.hit(q, candidates[i], ReasonBound, sel)
	return true
}

// serveDetour answers with the detour of a session that is away from its home: one that
// was at its second place last. The binding l is that of the home, whose target has index i
// among the candidates. It reports whether it has answered, and whether the session is away
// at all. If the session is away and serveDetour has not answered, place has to.
func (s *Selector[T]) serveDetour(q *query, l *located, i int, candidates []T, sel *Selection[T]) (served, away bool) {
	if i >= 0 {
		s.notePresence(q, l.target, i)
	}
	p := &l.target.Traits.Presence
	if last := p.LastMissed(); last == 0 || q.now-last > q.ttl+int64(leaseLimit) {
		return false, false // no detour from this home can have lived for so long
	}
	d, _ := s.cache.lookup(q.key.aside(), q.now)
	if d.Expires <= l.Expires || d.target == l.target { // or there is none
		return false, false
	}
	j := s.index(d.target, candidates)
	switch {
	case j < 0, !s.worthFollowing(&d, q.ttl),
		i >= 0 && p.MayReturn(q.now, l.session().fraction()),
		s.cache.learned.Load() && q.refersToState():
		return false, true
	}
	if i < 0 {
		s.notePresence(q, l.target, i)
	}
	sel.From, sel.at = l.target.Name, d
	s.hit(q, candidates[j], ReasonDetour, sel)
	return true, true
}

// notePresence notes whether t, whose index is i, is among the candidates of a turn of
// one of its sessions. Only FailoverReturn needs to know.
func (s *Selector[T]) notePresence(q *query, t *registry.Target, i int) {
	switch p := &t.Traits.Presence; {
	case s.cfg.Failover != FailoverReturn, q.beside:
	case i < 0:
		p.Missing(q.now)
	case p.Away():
		p.Present(q.now)
	}
}

// worthFollowing reports whether the session should go on at the target of l: it is
// not drained past its deadline, and its cache is likely to have the prompt, or a
// request under way is about to put it there.
//
// One in exploration of the bindings that seem too old is followed nevertheless.
// Otherwise nobody would notice that the target keeps prompts for longer now.
func (s *Selector[T]) worthFollowing(l *located, ttl int64) bool {
	t := l.target.Traits
	life := t.Life.Life()
	switch {
	case t.DrainDue(l.now):
		return false
	case life == lifetime.Unlimited, l.Leases() > 0:
		return true
	}
	idle, known := s.idle(l, ttl)
	if !known {
		idle = min(idle, time.Duration(l.now-s.start))
	}
	// After a pause as long as life, prompts were found gone.
	return idle < life || (uint64(l.Stamp())+l.key.k.Lo)%exploration == 0
}

const exploration = 16

// idle returns how long the record l had not been used when it was looked up. It
// works that out from the expiry, which each use sets to ttl later.
//
// That is not known where another lifetime may have set the expiry: that of an earlier
// configuration, from which this Selector has taken over the Cache, or that of learned
// state. The result is then the best guess.
func (s *Selector[T]) idle(l *located, ttl int64) (idle time.Duration, known bool) {
	idle = time.Duration(l.now - (l.Expires - ttl))
	return idle, idle >= 0 && (int64(idle) <= l.now-s.start || !s.cache.varied.Load())
}

// knownIdle is idle for Decision.Idle: 0 if it is not known.
func (s *Selector[T]) knownIdle(l *located, ttl int64) (idle time.Duration, known bool) {
	if idle, known = s.idle(l, ttl); !known {
		idle = 0
	}
	return idle, known
}

// shouldYield reports whether a session should leave t because t has more than its
// share. It asks Overloaded, which may be slow, last.
func (s *Selector[T]) shouldYield(q *query, t *registry.Target) bool {
	return s.mayYield(q) && t.Traits.MayYield(q.now) && s.balancer.Overloaded(t.Name)
}

// mayYield reports whether a request may have its session leave a target that has more than its
// share.
func (s *Selector[T]) mayYield(q *query) bool { return s.yields(q) && !q.beside }

// yields reports whether a session may have to leave a target that has more than its share: only
// if it is known by its messages alone, since it may be many that began alike.
func (s *Selector[T]) yields(q *query) bool {
	return s.balancer != nil && q.sess.Confidence == extract.Derived
}

// hit makes the Selection of a session that goes on at the record sel.at, and notes the
// use of the record.
func (s *Selector[T]) hit(q *query, target T, reason Reason, sel *Selection[T]) {
	l := &sel.at
	if s.balancer != nil { // before there is a lease, which would stay if it panics
		sel.ticket = s.balancer.Charge(q.req, l.target.Name, true)
	}
	sel.before = l.Expires
	sel.Idle, sel.stayed = s.knownIdle(l, q.ttl)
	if !q.beside {
		sel.leased = s.cache.touch(l, q.ttl, q.lease)
	}
	s.fillBound(q, target, reason, sel)
	if q.beside {
		*l = located{} // no outcome acts on the binding
		return
	}
	s.useCopies(q, sel)
}

// useCopies makes the copies of the record sel.at live as long as it does. If there
// are any, fillBound has set sel.kin.
func (s *Selector[T]) useCopies(q *query, sel *Selection[T]) {
	for _, alias := range q.sess.Aliases {
		if a, ok := q.copyOf(s.cache, &sel.at, alias, sel.at.now); ok {
			_, leased := s.cache.table.Touch(a.key.k, a.Found, sel.at.Expires, 0, q.lease)
			sel.kin.add(a.key, a.Found, leased)
		}
	}
}

// fillBound fills in the Selection that comes from the record sel.at, but for its ticket
// and its lease.
func (s *Selector[T]) fillBound(q *query, target T, reason Reason, sel *Selection[T]) {
	s.fill(q, target, sel.at.target.Name, reason, sel)
	sel.Session = sel.at.session()
	sel.ttl = q.ttl
	switch {
	case len(q.sess.Continues)+len(q.sess.Near)+len(q.sess.Aliases) > 0:
		sel.kin = &kin{query: *q} // a copy, so that q stays on the stack
		sel.kin.req = nil
	case q.starts: // a sub-agent, say: there is no more to know, and nothing to allocate
		sel.starters = q.starters(s.cache)
	}
}

// fill fills in what every Selection has.
func (s *Selector[T]) fill(q *query, target T, id string, reason Reason, sel *Selection[T]) {
	sel.selector, sel.within = s, q.within
	sel.Target, sel.ID, sel.Reason = target, id, reason
	sel.Source, sel.Confidence = q.sess.Source, q.sess.Confidence
}

// -- Placement: the session has no binding, or does not go on there --

// smallBody is the largest body in bytes that is read only to see whether a request is a
// side call.
const smallBody = 16 << 10

// place finds a target for a session that serveHome has not served. Of concurrent
// requests of the session, one does so and the others wait for it.
func (s *Selector[T]) place(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	// The body is asked for the class only here, where a binding is made or moved. A
	// large one need not be read for that: a side call that carries the conversation
	// leaves its prompt where it goes. Where the session is not Explicit, the body has
	// been read anyway.
	if q.beside || !s.cfg.SideCalls && (q.sess.Confidence != extract.Explicit || len(q.req.Body) <= smallBody) && q.req.Class().SideCall() {
		return s.placeSideCall(ctx, q, candidates, sel)
	}
	done, first := s.flights.Join(q.key.k)
	if first {
		defer s.flights.Leave(q.key.k) // also when the fallback panics
		return s.settle(ctx, q, candidates, nobody, sel)
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("affinity: waiting for another request to place the session: %w", ctx.Err())
	}
	// If the first one failed, or its target is not among our candidates, we do not
	// queue up again: a fallback that fails slowly would be asked by one after another.
	q.now = s.cache.now()
	return s.settle(ctx, q, candidates, nobody, sel)
}

// placeSideCall sends a side call where its session would go, and stores nothing.
func (s *Selector[T]) placeSideCall(ctx context.Context, q *query, candidates []T, sel *Selection[T]) error {
	q.beside = true
	var st standing
	v, err := s.weigh(q, candidates, &st)
	if err != nil {
		return err
	}
	if v.i < 0 {
		v = verdict{reason: ReasonSideCall, pick: nobody}
	}
	if err = s.serveUnbound(ctx, q, candidates, &v, sel); err != nil {
		return err
	}
	sel.Session = st.session
	switch {
	case v.reason == ReasonDetour:
		sel.Idle, _ = s.knownIdle(&st.second, q.ttl)
	case st.stays:
		sel.Idle, _ = s.knownIdle(&st.located, q.ttl)
	}
	return nil
}

// serveUnbound answers with v.pick or, if that is no candidate, with the fallback's choice. It
// stores nothing.
func (s *Selector[T]) serveUnbound(ctx context.Context, q *query, candidates []T, v *verdict, sel *Selection[T]) (err error) {
	if v.i < 0 {
		if v.pick, err = s.askFallback(ctx, q.req, candidates, ""); err != nil {
			return err
		}
	}
	s.fill(q, candidates[v.i], v.id, v.reason, sel)
	sel.From = v.from
	s.charge(q, &v.pick, false)
	sel.ticket = v.ticket
	return nil
}

// settle decides where the session goes, has it bound there and makes the Selection.
// Requests that waited for another one find the binding that it has made. If the fallback has
// been asked already, chosen is what it said, and else nobody.
func (s *Selector[T]) settle(ctx context.Context, q *query, candidates []T, chosen pick, sel *Selection[T]) error {
	var st standing
	v, err := s.weigh(q, candidates, &st)
	if err != nil {
		s.refund(&chosen)
		return err
	}
	goesOn := st.own && v.i >= 0 && v.i == st.home // where it is, with the record that it has
	asks := v.i < 0 && chosen.i < 0
	switch {
	case asks:
		if v.pick, err = s.askFallback(ctx, q.req, candidates, v.except); err != nil {
			return err
		}
	case v.i < 0:
		v.pick = chosen
	default:
		s.refund(&chosen)
	}
	q.now = s.cache.now() // the fallback may have taken long; and what is bound is to be exact
	if asks && !st.own && s.placedElsewhere(q, candidates) {
		return s.settle(ctx, q, candidates, v.pick, sel)
	}
	still := false // the binding is there as it was
	if st.target != nil {
		l, ok := s.cache.lookup(st.key, q.now)
		if still = ok && l.Stamp() == st.Stamp(); !ok { // invalidated meanwhile
			v.detour, v.second = false, neither
		}
	}
	if v.reason == ReasonOverload && still && s.balancer.Overloaded(v.id) {
		// The session would be no better off there, so it stays.
		s.refund(&v.pick)
		v, goesOn = st.stay(), st.own
	}
	if v.id == "" {
		s.refund(&v.pick)
		return ErrNoID
	}
	switch {
	case goesOn:
		sel.at = st.located
		s.hit(q, candidates[v.i], v.reason, sel)
		s.endBefore(q, &st.second, sel)
	case st.state():
		// The session is named by state, which does not move with the request.
		sel.Session = st.session
		return s.serveUnbound(ctx, q, candidates, &v, sel)
	case v.detour:
		s.bindDetour(q, &st, candidates, &v, sel)
	default:
		s.bindHome(q, &st, candidates, &v, sel)
	}
	sel.From = v.from
	if st.stays && sel.Reason != ReasonDetour {
		sel.Idle, sel.stayed = s.knownIdle(&st.located, q.ttl)
		sel.stayed = sel.stayed && sel.ID == st.target.Name && st.Used()
	}
	return nil
}

// placedElsewhere reports whether another request has placed the session of q at none of our
// candidates while the fallback was asked. Then the session goes on from there: where it was is
// its home or its second place.
func (s *Selector[T]) placedElsewhere(q *query, candidates []T) bool {
	l, ok := s.cache.lookup(q.key, q.now)
	return ok && s.index(l.target, candidates) < 0
}

// weigh finds out what is known of the session of q, and returns where that has it go. st must
// be zero. The error is a *PinnedError.
func (s *Selector[T]) weigh(q *query, candidates []T, st *standing) (v verdict, err error) {
	s.survey(q, candidates, st)
	v = verdict{reason: ReasonNew, pick: nobody}
	if st.target != nil {
		if st.stays || st.home >= 0 { // what starts elsewhere since the home is away is none of its sessions
			s.notePresence(q, st.target, st.home)
		}
		v = s.judge(q, st, candidates)
	}
	if !st.own || v.reason != ReasonBound || s.stateFirst() { // else the home goes before state
		err = s.heedState(q, st, candidates, &v)
	}
	return v, err
}

// A standing is what is known of a session that is to be placed.
type standing struct {
	located        // the binding that it goes by: its own, or one that it could take over; no target if none
	session Digest // of the session, whether it has a binding or not
	own     bool   // the binding is its own: that of query.key
	stays   bool   // the binding is of the same conversation, and not of a neighbour or of what started it

	// Set by survey.
	home   int     // the index of the binding's target among the candidates, or -1
	second located // the second place that goes with the binding, if that is another target; no target if none
	refuge int     // the index of its target among the candidates; -1 if it is not there, or not worth following
}

// survey finds the places that the session of q has to go by, and which of them are
// among the candidates. st must be zero.
func (s *Selector[T]) survey(q *query, candidates []T, st *standing) {
	st.home, st.refuge = -1, -1
	if s.findStanding(q, st); st.target == nil {
		return
	}
	st.home = s.index(st.target, candidates)
	switch {
	case st.aside() || st.state() || !s.cache.locateAside(st.key, q.now, &st.second): // state has none
	case st.second.target == st.target: // it is no other place
		st.second = located{}
	// If all candidates are being drained, it is as good as any of them.
	case s.worthFollowing(&st.second, q.ttl) || st.home < 0 && len(s.open(candidates, "")) == 0:
		st.refuge = s.index(st.second.target, candidates)
	}
	if st.target.Dead() { // invalidated meanwhile
		*st = standing{session: st.session, home: -1, refuge: -1}
	}
}

// findStanding finds the binding that the session of q goes by, but does not look for
// candidates. The first of these that exists counts: its own, that of an earlier turn,
// that of the thread or session that started it, that of a neighbour.
func (s *Selector[T]) findStanding(q *query, st *standing) {
	c, l := s.cache, &st.located
	st.session = q.root.digest(scopeOf(q.within))

	if c.locate(q.key, q.now, l) {
		st.session, st.own, st.stays = l.session(), true, true
		return
	}
	// Where a home is gone, because it was away for too long or has failed for good, the
	// second place is as good as a home.
	if c.locateAside(q.key, q.now, l) {
		st.session, st.stays = l.session(), true
		return
	}
	for _, id := range q.sess.Continues {
		if c.locateEither(q.idKey(c, id), q.now, l) {
			st.session, st.stays = l.session(), true
			return
		}
	}

	if q.starts {
		for _, key := range q.starters(c) {
			if c.locateEither(key, q.now, l) {
				st.session = l.session()
				return
			}
		}
	}
	q.req.Complete(&q.sess)
	if s.cfg.Threads == ThreadsStart && q.sess.Parent != "" && c.locateEither(q.idKey(c, q.sess.Parent), q.now, l) {
		return
	}
	for _, id := range q.sess.Near {
		if c.locateEither(q.idKey(c, id), q.now, l) {
			return
		}
	}
}

// last returns the place where the session was last.
func (st *standing) last() (*located, which) {
	if st.second.Expires > st.Expires {
		return &st.second, theSecond
	}
	return &st.located, theHome
}

// A verdict says where a session goes, and what is remembered of where it was.
type verdict struct {
	reason Reason
	pick          // if it is no candidate, the fallback has to choose
	except string // the ID of a target that the fallback should not choose
	from   string // for Decision.From
	detour bool   // the pick is a detour, and the home stays the home
	cold   bool   // the pick is not likely to have the prompt
	second which  // what becomes the second place
}

// which names one of the two places that a standing knows. A pointer to it would have the
// standing allocated on the heap.
type which uint8

const (
	neither   which = iota
	theHome         // standing.located
	theSecond       // standing.second
)

// judge decides about a session that has a binding of its own or could take one over. st is
// as survey has left it.
func (s *Selector[T]) judge(q *query, st *standing, candidates []T) verdict {
	home, second := st.target.Name, &st.second
	i, j := st.home, st.refuge

	stale := !s.worthFollowing(&st.located, q.ttl)
	leaving := s.cache.targets.Draining(home)
	due := st.target.Traits.DrainDue(q.now) // it has to give up its sessions, so it is stale as well
	returning := s.cfg.Failover == FailoverReturn
	aside := returning && second.Expires > st.Expires // it was at the second place last
	away := st.stays && aside && j >= 0               // and can go on there
	if j >= 0 && !away && s.cache.targets.Draining(second.target.Name) {
		j = -1 // the second place takes in no session that is not there already
	}
	refuge := at(j, second.target)
	if !st.stays {
		return s.judgeStart(q, st, refuge, stale || leaving, aside)
	}

	// The order of the cases matters: a session that is away from its home comes before one
	// whose home is missing, that before one whose home is drained, stale or overloaded,
	// and what is left stays.
	switch {
	case i < 0 && returning && !stale && !leaving, // keep the home, go aside
		away && !s.mayReturn(q, st),
		away && !stale && !leaving && s.yields(q) && s.balancer.Overloaded(home): // a turn would have to leave again
		v := verdict{reason: ReasonFailover, pick: refuge, from: home, detour: true}
		if away {
			v.reason = ReasonDetour
		}
		return v
	case away && (stale || leaving): // give up the home for the detour
		return verdict{reason: ReasonDetour, pick: refuge, from: home}

	case i < 0, due && len(s.open(candidates, home)) > 0:
		v := verdict{reason: ReasonFailover, pick: refuge, from: home}
		if !stale && !leaving {
			v.second = theHome
		}
		return v

	case aside && (!stale || due || q.refersToState()): // it is time, or the detour has gone
		return verdict{reason: ReasonReturned, pick: at(i, st.target), from: second.target.Name, second: theSecond}
	case due: // but there is no other candidate
		return st.stay()
	case stale && !q.refersToState():
		if q.beside { // it needs no warm prompt
			return verdict{reason: ReasonInherited, pick: at(i, st.target)}
		}
		return verdict{reason: ReasonExpired, pick: nobody, from: home}
	case s.shouldYield(q, st.target) && !q.refersToState() &&
		(j >= 0 || second.target == nil && len(s.open(candidates, home)) > 0) && // it is not sent to a third target
		st.target.Traits.Yield(q.now):
		return verdict{reason: ReasonOverload, pick: refuge, from: home, except: home, second: theHome}
	}
	return st.stay()
}

// judgeStart is judge for a session that starts where a neighbour is, or what has started it.
// refuge is the second place of that, or nobody; leaving says that its home is stale or being
// left, and aside that it was at the second place last.
func (s *Selector[T]) judgeStart(q *query, st *standing, refuge pick, leaving, aside bool) verdict {
	v, home := st.stay(), st.target.Name
	switch {
	case st.home < 0 || leaving:
		v = verdict{reason: ReasonFailover, pick: refuge, from: home, cold: true}
	case aside && refuge.i >= 0 && (!s.mayReturn(q, st) || s.yields(q) && s.balancer.Overloaded(home)): // that is still away
		v.pick = refuge
	}
	if v.i < 0 || s.mayYield(q) && s.balancer.Overloaded(v.id) && !q.refersToState() { // many may have found the neighbour
		return verdict{reason: ReasonNew, pick: nobody}
	}
	return v
}

// stay has the session go on at the target of st, which must be among the candidates.
func (st *standing) stay() verdict {
	v := verdict{reason: ReasonInherited, pick: at(st.home, st.target), cold: !st.stays}
	switch {
	case st.own || st.stays && st.aside():
		v.reason = ReasonBound
	case st.stays && st.second.target != nil:
		v.second = theSecond
	}
	return v
}

// mayReturn reports whether the session of st.located, which is away from its home, goes back
// to it now: it is its turn, and the request does not go on from state, which is more likely to
// be where the session was last.
func (s *Selector[T]) mayReturn(q *query, st *standing) bool {
	return st.target.Traits.Presence.MayReturn(q.now, st.located.session().fraction()) && !q.refersToState()
}

// heedState changes the verdict v if the request refers to state that some candidate
// holds. The error is a *PinnedError.
func (s *Selector[T]) heedState(q *query, st *standing, candidates []T, v *verdict) error {
	holder, absent := s.stateHolder(q, candidates)
	switch {
	case s.cfg.FailPinned && absent != "":
		return &PinnedError{absent}
	case holder.i >= 0 && holder.i == v.i: // it goes there anyway
		v.cold = false
	case holder.i >= 0:
		last, name := st.last()
		*v = verdict{reason: ReasonPinned, pick: holder}
		if st.stays && last.target.Name != holder.id {
			v.from, v.second = last.target.Name, name
		}
	default:
		return s.heedUnknownState(q, st, candidates, v)
	}
	return nil
}

// stateHolder looks for the state that the request refers to. It returns a candidate that
// holds some of it, or nobody; and the ID of a target that holds some and is not a
// candidate, or "". Of several, the first counts, in the order of Pins. While nothing was
// learned it does not read the body.
func (s *Selector[T]) stateHolder(q *query, candidates []T) (holder pick, absent string) {
	holder = nobody
	if !s.cache.learned.Load() {
		return holder, ""
	}
	for _, id := range q.req.Pins() {
		l, ok := s.cache.lookup(s.cache.stateKey(q.within, id), q.now)
		if !ok || !l.state() { // a session may have the name of state that was not learned
			continue
		}
		switch i := s.index(l.target, candidates); {
		case i < 0 && absent == "":
			absent = l.target.Name
		case i >= 0 && holder.i < 0:
			holder = at(i, l.target)
		}
	}
	return holder, absent
}

// heedUnknownState is heedState for state that was not learned. With FailPinned it is
// taken to be where the session was last, if the session would leave that.
func (s *Selector[T]) heedUnknownState(q *query, st *standing, candidates []T, v *verdict) error {
	if !s.cfg.FailPinned || !st.stays || !q.refersToState() {
		return nil
	}
	last, name := st.last()
	i := s.index(last.target, candidates)
	switch {
	case i < 0:
		return &PinnedError{last.target.Name}
	case i == v.i: // it goes there anyway
	case name == theSecond: // a detour that is drained, or cold
		*v = verdict{reason: ReasonDetour, pick: at(i, last.target), from: st.target.Name, detour: s.cfg.Failover == FailoverReturn}
	default: // the home is drained, but there
		*v = verdict{reason: ReasonPinned, pick: at(i, last.target)}
	}
	return nil
}

// bindHome makes v.pick the session's home, and v.second the second place. If the session
// has got another home among the candidates since st was looked up, it goes there
// instead.
func (s *Selector[T]) bindHome(q *query, st *standing, candidates []T, v *verdict, sel *Selection[T]) {
	var stamp uint32
	if st.own {
		stamp = st.Stamp()
	}
	var second *located
	switch v.second {
	case theHome:
		second = &st.located
	case theSecond:
		second = &st.second
	}
	if second != nil { // hold its target, of which the record that write replaces may be the last
		if !s.cache.targets.Retain(second.target) {
			second = nil // invalidated meanwhile
		} else {
			defer s.cache.targets.Release(second.target.Ref)
		}
	}
	if !s.write(q, q.key, stamp, st.session, candidates, v, sel) {
		return
	}
	if v.second == neither {
		second = nil
	}
	var old located
	if second != nil {
		raise(&s.cache.asides)
		s.setAside(q, q.key, second, sel)
	} else if s.cache.locateAside(q.key, q.now, &old) {
		s.endBefore(q, &old, sel)
	}
	for _, alias := range q.sess.Aliases {
		key := q.idKey(s.cache, alias)
		l, _ := s.cache.bind(key, table.Any, sel.ID, uint64(sel.Session), q.now, q.now+q.ttl, q.lease)
		sel.kin.add(key, l.Found, q.lease)
		if second != nil {
			s.setAside(q, key, second, sel)
		} else if s.cache.locateAside(key, q.now, &old) && old.session() != sel.Session { // another turn's
			s.cache.Delete(key.aside())
		}
	}
}

// setAside makes the target of l the second place of the session that has the key and
// the home sel.at. It lives for as long as l would have lived, but not longer than the home.
func (s *Selector[T]) setAside(q *query, key Key, l *located, sel *Selection[T]) {
	s.cache.bindTo(key.aside(), table.Any, l.target, uint64(sel.Session|asideBit), q.now, min(l.Expires, sel.at.Expires-1))
}

// endBefore makes the record l, a home or a second place, and the copies of it end before
// sel.at does, the place where the session is now. They do so anyway, unless they were last
// used when lifetimes were longer. If sel.at has gone meanwhile, l is what is left.
func (s *Selector[T]) endBefore(q *query, l *located, sel *Selection[T]) {
	if l.Expires < sel.at.Expires {
		return
	}
	at, ok := s.cache.lookup(sel.at.key, q.now)
	if !ok {
		return
	}
	s.cache.table.Shorten(l.key.k, l.Stamp(), at.Expires-1)
	for _, alias := range q.sess.Aliases {
		if a, ok := q.copyOf(s.cache, l, alias, q.now); ok {
			s.cache.table.Shorten(a.key.k, a.Stamp(), at.Expires-1)
		}
	}
}

// bindDetour makes v.pick the second place of the session, and gives it a binding to its
// home if it has none of its own. If the session has got another detour among the
// candidates since st was looked up, it goes there instead.
func (s *Selector[T]) bindDetour(q *query, st *standing, candidates []T, v *verdict, sel *Selection[T]) {
	raise(&s.cache.asides)
	home := st.now + q.ttl - 1 // when the home ends: before the detour
	if st.Expires > q.now {    // else it lives by requests under way, which leave no lease to a copy
		home = min(home, st.Expires)
	}
	if !st.own {
		s.cache.bindTo(q.key, 0, st.target, uint64(st.session), q.now, home)
	}
	var stamp uint32 // none if another request has gone on a detour meanwhile: then write follows it
	second, ok := s.cache.lookup(q.key.aside(), q.now)
	if was := &st.second; ok && was.key == second.key && was.Stamp() == second.Stamp() && was.Expires == second.Expires {
		stamp = second.Stamp()
	}
	if stamp != 0 && v.id == second.target.Name {
		s.refund(&v.pick)
		sel.at = second
		s.hit(q, candidates[v.i], v.reason, sel)
	} else if s.write(q, q.key.aside(), stamp, st.session|asideBit, candidates, v, sel) {
		s.copyDetour(q, st, &sel.at, home)
		s.useCopies(q, sel)
	}
	if st.own {
		s.endBefore(q, &st.located, sel)
	}
}

// copyDetour makes the detour of the session the second place of its aliases as well, except
// those that are another turn's by now. Aliases of a session that has just got its
// binding get a copy of that, too, which ends when the home does.
func (s *Selector[T]) copyDetour(q *query, st *standing, detour *located, home int64) {
	for _, alias := range q.sess.Aliases {
		key := q.idKey(s.cache, alias)
		if !st.own {
			s.cache.bindTo(key, table.Any, st.target, uint64(st.session), q.now, home)
		} else if _, ok := q.copyOf(s.cache, &st.located, alias, q.now); !ok {
			continue
		}
		if _, ok := q.copyOf(s.cache, detour, alias, q.now); !ok { // else others may have leases on it
			s.cache.bindTo(key.aside(), table.Any, detour.target, detour.Mark(), q.now, q.now+q.ttl)
		}
	}
}

// write binds key to v.pick if the live record of key has the given stamp (0: there is
// none), makes the Selection of the new record and returns true.
//
// If key has got another record by then whose target is among the candidates, write
// makes a Selection of that record, changes the reason of v to say so, and returns
// false. Otherwise that record gives way.
func (s *Selector[T]) write(q *query, key Key, stamp uint32, mark Digest, candidates []T, v *verdict, sel *Selection[T]) bool {
	s.charge(q, &v.pick, !v.cold) // before there is a lease, which would stay if it panics
	for {
		var ok bool
		sel.at, ok = s.cache.bind(key, stamp, v.id, uint64(mark), q.now, q.now+q.ttl, q.lease)
		if ok {
			s.fillBound(q, candidates[v.i], v.reason, sel)
			sel.leased, sel.ticket = q.lease, v.ticket
			s.notePresence(q, sel.at.target, v.i)
			return true
		}
		if sel.at.target == nil {
			v.second = neither // invalidated meanwhile, or it has ended
		} else if i := s.index(sel.at.target, candidates); i >= 0 {
			s.refund(&v.pick)
			if sel.at.aside() {
				v.reason = ReasonDetour
			} else {
				v.reason, v.from = ReasonBound, ""
			}
			s.hit(q, candidates[i], v.reason, sel)
			return false
		}
		stamp = sel.at.Stamp()
	}
}

// -- The fallback --

// A pick is a candidate, and the ticket that the Balancer gave for it if it chose it.
type pick struct {
	i      int    // the index among the candidates; -1 is no candidate
	id     string // of the candidate
	ticket Ticket
	placed bool // there is a ticket, which must be handed on or canceled
}

// at picks t, whose index among the candidates is i, without asking anybody.
func at(i int, t *registry.Target) pick {
	if i < 0 {
		return nobody
	}
	return pick{i: i, id: t.Name}
}

// nobody is no candidate.
var nobody = pick{i: -1}

// askFallback asks the fallback, and checks that it answers with a candidate. The targets
// that are being drained, and the one whose ID is except, are offered only if there is
// no other.
func (s *Selector[T]) askFallback(ctx context.Context, req *extract.Request, candidates []T, except string) (pick, error) {
	offered := s.open(candidates, except)
	if len(offered) == 0 {
		offered = candidates
	}
	offered = slices.Clip(offered) // the caller's array may go on, and append would write to it
	p := nobody
	var target T
	var err error
	if s.balancer != nil {
		target, p.ticket, err = s.balancer.Place(ctx, req, offered)
		p.placed = true
	} else {
		target, err = s.cfg.Fallback.Pick(ctx, req, offered)
	}
	if err != nil {
		return nobody, fmt.Errorf("affinity: fallback: %w", err)
	}
	if !isNilTarget(target) || slices.ContainsFunc(candidates, isNilTarget) { // or ID may panic
		p.id = s.cfg.ID(target)
		for i, c := range candidates {
			if s.cfg.ID(c) == p.id {
				p.i = i
				return p, nil
			}
		}
	}
	s.refund(&p)
	return nobody, fmt.Errorf("%w: %q", ErrNotCandidate, p.id)
}

// isNilTarget reports whether target is nil, as it is from a fallback that finds nobody and
// returns no error.
func isNilTarget[T any](target T) bool {
	switch v := reflect.ValueOf(target); v.Kind() {
	case reflect.Invalid: // a nil interface
		return true
	case reflect.Pointer, reflect.Func:
		return v.IsNil()
	}
	return false
}

// open returns the candidates that may take in other sessions than their own: those
// that are not being drained, without the one whose ID is except. There may be none.
// The result may be the slice candidates, which belongs to the caller.
func (s *Selector[T]) open(candidates []T, except string) []T {
	if except == "" && !s.cache.targets.AnyDraining() {
		return candidates
	}
	return slices.DeleteFunc(slices.Clone(candidates), func(c T) bool {
		id := s.cfg.ID(c)
		return id == except || s.cache.targets.Draining(id)
	})
}

// charge sees to it that p has a ticket if there is a Balancer.
func (s *Selector[T]) charge(q *query, p *pick, warm bool) {
	if s.balancer != nil && !p.placed {
		p.ticket, p.placed = s.balancer.Charge(q.req, p.id, warm), true
	}
}

// refund cancels the ticket of p, if it has one: the request does not go there.
func (s *Selector[T]) refund(p *pick) {
	if p.placed {
		s.balancer.Cancel(p.id, p.ticket)
	}
}

// -- Outcomes --

// finish acts on the outcome of a selection, once.
func (s *Selector[T]) finish(sel *Selection[T]) {
	o := sel.Outcome
	s.outcomes.Add(uint8(o.Result))
	sel.endLearned(o.Result == Served)
	if sel.at.target == nil {
		return
	}
	if o.Result == TerminalFailure {
		s.forget(sel)
		return
	}
	var ttl int64
	if o.Result == Served {
		// If the binding was not Used, the target may never have had the prompt: nothing was served
		// there, or not since the session was moved (Cache.MoveFunc).
		if sel.stayed && sel.at.Used() {
			sel.at.target.Traits.Life.Observe(sel.Idle, o.Usage.Cached, o.Usage.Uncached)
		}
		if !sel.at.aside() || !s.cameHome(sel) { // otherwise, the detour would look like the place where the session was last
			ttl = sel.ttl
		}
	}
	s.cache.end(sel.at.key, sel.at.Found, sel.leased, ttl)
	sel.endCopies(ttl)
	if o.Result == TransientFailure {
		s.takeBack(sel)
	}
}

// forget removes the binding of sel, and those of the same session to the same target
// that the session would take over instead.
func (s *Selector[T]) forget(sel *Selection[T]) {
	if s.cache.table.Delete(sel.at.key.k, sel.at.Stamp(), s.cache.now()) {
		sel.drop(sel.at.key.aside())
		var related []Key
		switch {
		case sel.kin != nil:
			related = sel.kin.relatedKeys(s.cache)
		case sel.starters != [2]Key{}:
			related = sel.starters[:]
		}
		for _, k := range related {
			sel.drop(k)
			sel.drop(k.aside())
		}
	}
	sel.endCopies(0)
}

// drop removes the record of k if it is one of the session of sel to the same target.
func (sel *Selection[T]) drop(k Key) {
	c := sel.selector.cache
	if l, ok := c.lookup(k, c.now()); ok && l.session() == sel.Session && l.target.Name == sel.ID {
		c.table.Delete(k.k, l.Stamp(), c.now())
	}
}

// cameHome reports whether the session of sel, which was on a detour, has been at home
// since.
func (s *Selector[T]) cameHome(sel *Selection[T]) bool {
	now := s.cache.now()
	home, _ := s.cache.lookup(sel.at.key.aside(), now)
	detour, _ := s.cache.lookup(sel.at.key, now)
	return home.Expires > detour.Expires
}

// takeBack undoes the use of the binding by a request that failed, and of its copies. A binding
// that the request has made stays as it is, unless a failover made it and the target has not
// even read the prompt: then the session is back where it was.
func (s *Selector[T]) takeBack(sel *Selection[T]) {
	moved := sel.before == 0 && sel.Reason == ReasonFailover && sel.Outcome.Usage == (Usage{})
	undo := func(k Key, f table.Found, before int64) {
		if moved && (before == 0 || before == sel.at.Expires) { // not a copy that there was before
			s.cache.moveBack(k, f, sel.at.Expires, sel.at.now)
		} else {
			s.cache.takeBack(k, f, before, sel.at.Expires)
		}
	}
	undo(sel.at.key, sel.at.Found, sel.before)
	if sel.kin != nil {
		for _, a := range sel.kin.copies {
			undo(a.key, a.Found, a.Expires())
		}
	}
}

// A kin is what Done has to know of a session with related records: their keys, and the
// copies of its binding, which wait for Done as the binding does.
type kin struct {
	query
	copies []copied
	room   [3]copied // of copies, if they are few
}

// A copied is a copy of a binding, as it was before the request used it.
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

// endCopies ends the use of the binding's copies, as [Cache.end] does for the
// binding. If the binding has moved on, the copies do not live longer.
//
// With a ttl, what the session continues lives longer as well: its prompt was used,
// too.
func (sel *Selection[T]) endCopies(ttl int64) {
	if sel.kin == nil {
		return
	}
	c := sel.selector.cache
	now := c.now()
	if l, _ := c.lookup(sel.at.key, now); l.Stamp() != sel.at.Stamp() {
		ttl = 0
	}
	for _, a := range sel.kin.copies {
		c.end(a.key, a.Found, a.leased, ttl)
	}
	for _, id := range sel.kin.sess.Continues { // the first may name what no request has asked for
		if a, ok := sel.kin.copyOf(c, &sel.at, id, now); ok {
			c.end(a.key, a.Found, false, ttl)
			return
		}
	}
}

// learn is Selection.Learn for an id that is fit to be one.
func (s *Selector[T]) learn(sel *Selection[T], id string) {
	c := s.cache
	key := c.stateKey(sel.within, id)
	session := sel.Session
	switch {
	case session != 0:
	case sel.learning.Load() >= learnedLeased: // all state of the request is of one session
		session = sel.learned.key.digest(scopeOf(sel.within))
	default:
		session = key.digest(scopeOf(sel.within))
	}
	life := s.lifetime(&extract.Session{Source: "state", ID: id})
	first := sel.learning.CompareAndSwap(notLearned, learning)
	now := c.now()
	raise(&c.learned)
	found, leased := c.note(key, sel.ID, uint64(session|stateBit), now, life, first)
	if !first {
		return
	}
	sel.learned = &learned{found, key, life, leased}
	sel.learning.Store(learnedLeased)
	if sel.done.Load() { // too early for endLearned to find it, or on the way here
		sel.endLearned(true) // it was made, whatever became of the request
	}
}

// learned is the record of the id that a Selection has learned first. It has a lease until
// Done, as the binding does.
type learned struct {
	table.Found
	key    Key
	life   int64
	leased bool
}

// The states of Selection.learning, in order. Selection.learned may be read from
// learnedLeased on, and stays as it is. (An atomic.Pointer would have every Selection
// allocated on the heap.)
const (
	notLearned    uint32 = iota
	learning             // a call of Learn is about to set Selection.learned
	learnedLeased        // it has; the lease is to be ended
	learnedEnded
)

// endLearned ends the lease on what was learned first, if it has one. If the request was
// served, that lives for another lifetime.
func (sel *Selection[T]) endLearned(served bool) {
	if sel.learning.Load() != learnedLeased || !sel.learning.CompareAndSwap(learnedLeased, learnedEnded) {
		return
	}
	ttl := int64(0)
	if served {
		ttl = sel.learned.life
	}
	sel.selector.cache.end(sel.learned.key, sel.learned.Found, sel.learned.leased, ttl)
}

// -- For operators --

// Peek returns the binding that Select would start from for req: that of its session, or
// one that the session would take over (Binding.Session is that of req even then). It
// changes nothing and asks no fallback. The target need not be a candidate: with
// [FailoverReturn], it is the home even while that is away and a detour serves. Nor is it
// certain that it still has the prompt: Select may place the session anew (ReasonExpired).
//
// Where it takes a query to list the candidates, ask for the home first and, if it can
// serve, Select with it as the only candidate. The session then stays there even if the
// home is overloaded or the deadline of its drain has passed.
func (s *Selector[T]) Peek(req *extract.Request) (Binding, bool) {
	var q query
	if !s.identify(&q, req) || s.closed.Load() {
		return Binding{}, false
	}
	var st standing
	if s.findStanding(&q, &st); st.target == nil {
		return Binding{}, false
	}
	b := s.cache.binding(&st.located)
	b.Session, b.Scope = st.session, st.session.scope() // the binding may be a neighbour's
	return b, true
}

// Invalidate removes the binding of the session of req, and those of the same session
// that it could take over, and reports whether there was any. The session's next request
// is placed as that of a new session: by the fallback or, if another session is its
// parent, a neighbour or one that began alike, where that is. Threads with a binding of
// their own keep it, unless req is theirs; [Selector.InvalidateSession] removes it, too.
func (s *Selector[T]) Invalidate(req *extract.Request) bool {
	var q query
	if !s.identify(&q, req) {
		return false
	}
	var st standing
	s.findStanding(&q, &st)
	found := s.cache.Delete(q.key)
	found = s.cache.Delete(q.key.aside()) || found
	for _, key := range q.relatedKeys(s.cache) {
		for _, key := range []Key{key, key.aside()} {
			if l, ok := s.cache.lookup(key, q.now); ok && l.session() == st.session {
				found = s.cache.table.Delete(key.k, l.Stamp(), q.now) || found
			}
		}
	}
	return found
}

// InvalidateSession removes all bindings of the session that d stands for, and returns
// their number. It is for operators, who know a session from a log. It visits the whole
// table.
func (s *Selector[T]) InvalidateSession(d Digest) int {
	return s.cache.DeleteFunc(func(_ Key, b Binding) bool { return b.Session == d })
}

// InvalidateTarget removes all bindings to the target of that ID, at a cost that does
// not depend on their number. When their sessions come back, those with a second place
// elsewhere ([Binding.Aside]) go on there, and the others are placed anew. Leave the target
// out of the candidates, or it may be chosen again.
//
// To remove or move bindings by target, scope or anything else that a [Binding] tells,
// see [Cache.DeleteFunc] and [Cache.MoveFunc].
func (s *Selector[T]) InvalidateTarget(id string) { s.cache.DeleteTarget(id) }

// Scope returns what [Binding.Scope] is for the sessions of a tenant and a scope: what
// Config.Tenant returns for them, or "" if there is none, and their Request.Scope. It is 0
// if both are empty.
//
// It has 24 bits: two given scopes have the same Digest with a chance of one in sixteen
// million, and among five thousand, some two do as likely as not.
func (s *Selector[T]) Scope(tenant, scope string) Digest {
	return scopeOf(s.cache.within(tenant, scope))
}

// Drain gives the target of that ID no new sessions and threads, and lets it keep those
// that it has. From the deadline (until) on, these are placed anew with their next request,
// as after a failure; the zero Time means that they may stay for good. A request still
// goes there if it has no other candidate, or if it refers to state that is there (with
// Config.FailPinned also if that is only likely).
//
// Counts tells how many bindings are left there; requests under way are for the caller to
// count. The drain belongs to the Cache. It lasts until Resume, in all Selectors that
// have the Cache or take it over. When a drained target is gone for good, Resume it as well.
func (s *Selector[T]) Drain(id string, until time.Time) {
	end := int64(never)
	if !until.IsZero() {
		end = max(1, s.cache.clock.At(until)) // 0 would be no drain
	}
	s.cache.targets.Drain(id, end)
}

const never = math.MaxInt64 // when a drain without a deadline ends

// Resume ends the drain of the target of that ID.
func (s *Selector[T]) Resume(id string) { s.cache.targets.Drain(id, 0) }

// Drained returns the targets that are being drained, by ID, each with the deadline of its
// drain: the zero Time if it has none, or one that is centuries away. A deadline from before
// the Cache was made comes out as the time when that was.
func (s *Selector[T]) Drained() map[string]time.Time {
	drained := make(map[string]time.Time)
	for id, end := range s.cache.targets.Drained() {
		var deadline time.Time
		if end != never {
			deadline = s.cache.clock.Date(end)
		}
		drained[id] = deadline
	}
	return drained
}

// Stats returns what this Selector has counted since New. The counts are the Selector's,
// not the Cache's. While requests go on, they are not all of the same instant.
func (s *Selector[T]) Stats() Stats {
	st := Stats{Selected: make(map[Reason]uint64), Outcomes: make(map[Result]uint64), Failed: s.selected.Sum(0)}
	for r := ReasonNoSession; r < reasonsEnd; r++ {
		st.Selected[r] = s.selected.Sum(uint8(r))
	}
	for r := Neutral; r <= TerminalFailure; r++ {
		st.Outcomes[r] = s.outcomes.Sum(uint8(r))
	}
	return st
}

// Counts returns the number of live bindings of every target: see [Cache.Counts].
func (s *Selector[T]) Counts() map[string]int { return s.cache.Counts() }

// Cache returns the Cache that holds the bindings: that of the Config, or the Selector's
// own.
func (s *Selector[T]) Cache() *Cache { return s.cache }

// Close retires the Selector, say because a configuration was replaced. Requests that
// still come are not lost: they go where the fallback says, as requests without a
// session, and bind nothing. Peek finds nothing any more.
//
// The Cache is left as it is, since another Selector may have taken it over. Outcomes that
// are reported, state that is learned and bindings that are invalidated after Close
// still act on it. Close returns nil and may be called again. A Selector that is dropped
// without Close leaks nothing.
func (s *Selector[T]) Close() error {
	s.closed.Store(true)
	return nil
}
