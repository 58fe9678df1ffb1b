package affinity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/extract"
)

// Config configures a [Selector] over targets of type T. ID and Fallback are
// required; the zero value of every other field is a good default.
type Config[T any] struct {
	// ID returns what a target is called: a non-empty string that is unique
	// among the candidates and stays the same over restarts, such as the name
	// of an account. It is called often and must be quick and safe for
	// concurrent use.
	ID func(target T) string

	// Fallback chooses the target of a request that has no session, of a
	// session that has no binding, and of one whose home is not among the
	// candidates.
	Fallback Picker[T]

	// Extractor finds the session of a request. nil means extract.Default().
	Extractor extract.Extractor

	// Tenant says whose request it is, beside Request.Scope: sessions of
	// different tenants never meet, whatever ids they send. It may return a
	// secret, since only a keyed hash is kept. extract.Credential is a good
	// one. nil leaves all to Request.Scope.
	Tenant func(req *extract.Request) string

	// Threads says where the threads of a session go, such as sub-agents.
	Threads ThreadPolicy

	// SideCalls lets calls beside the conversation (extract.Class.Beside:
	// probes, titles, compaction and the like) make, move and refresh
	// bindings, as its turns do. By default they follow the binding that is
	// there, and leave no trace.
	SideCalls bool

	// FailPinned makes Select fail with a *PinnedError where it would send a
	// request away from the upstream that holds state it refers to
	// (extract.Request.Pins). By default such a request goes where others
	// would, and the upstream answers for itself.
	FailPinned bool

	// TTL is how long a binding lives after its last use. 0 means DefaultTTL.
	TTL time.Duration

	// Lifetime says how long the bindings of a session live after their last
	// use where that is not TTL: less, say, for a session that is Derived. 0
	// or less means TTL. nil means TTL for all.
	Lifetime func(s extract.Session) time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity. A
	// session named by an id has one binding, and one more for each thread; a
	// session that is recognised by its messages has up to four for every
	// text that a person wrote, of which the older ones expire while the
	// conversation goes on.
	Capacity int

	// Cache holds the bindings. nil means a new one, of the given TTL and
	// Capacity; if it is set, both of them must be 0. Selectors may share a
	// Cache, or hand it on when a configuration is replaced: then sessions
	// stay where they are as long as targets keep their IDs.
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

// A Selector keeps sessions at their targets.
//
// For every request, its extractor names the session; the Selector looks for
// the session's binding and answers with its home if that is among the
// candidates. In all other cases the fallback decides, and what it chose
// becomes the session's home. See the package documentation for the rules.
//
// Use [New]. All methods are safe for concurrent use. A hit takes no lock.
type Selector[T any] struct {
	cfg      Config[T]
	cache    *Cache
	flights  flights
	openings openings
	closed   atomic.Bool
}

var _ Picker[int] = (*Selector[int])(nil)

// New returns a Selector. The error, if any, names the field of the
// configuration that is at fault.
func New[T any](cfg Config[T]) (*Selector[T], error) {
	switch {
	case cfg.ID == nil:
		return nil, errors.New("affinity: Config.ID is nil: say how a target is called")
	case cfg.Fallback == nil:
		return nil, errors.New("affinity: Config.Fallback is nil: give a Picker, for example balance.RoundRobin")
	case cfg.Threads > ThreadsSpread:
		return nil, errors.New("affinity: Config.Threads is not a ThreadPolicy")
	case cfg.TTL < 0:
		return nil, errors.New("affinity: Config.TTL is negative")
	case cfg.Capacity < 0:
		return nil, errors.New("affinity: Config.Capacity is negative")
	case cfg.Cache != nil && (cfg.TTL != 0 || cfg.Capacity != 0):
		return nil, errors.New("affinity: Config.Cache is set, and so is Config.TTL or Config.Capacity: set them in the CacheConfig")
	}
	s := &Selector[T]{cfg: cfg, cache: cfg.Cache}
	if cfg.Extractor == nil {
		s.cfg.Extractor = extract.Default()
	}
	if s.cache == nil {
		var err error
		if s.cache, err = NewCache(CacheConfig{TTL: cfg.TTL, Capacity: cfg.Capacity}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// A Selection is the answer of [Selector.Select]. The zero Selection is what
// comes with an error; its Done and Learn do nothing.
type Selection[T any] struct {
	// Target is the chosen candidate and ID its ID.
	Target T
	ID     string

	// Reason says why.
	Reason Reason

	// From is the ID of the home that a session left, for ReasonFailover.
	From string

	// Source says which signal named the session and Confidence how far that
	// goes, as [extract.Session] does; Source is "" if there is none.
	Source     string
	Confidence extract.Confidence

	// Session stands for the session where people read it, all its turns and
	// threads alike; zero if there is none.
	Session Digest

	// Conversations is about how many different conversations were seen under
	// the id of the session, if its Confidence is Conventional; else 0. More
	// than a few say that the id does not name a conversation: the client
	// sends the same one in all of them, and all go to one target.
	Conversations int

	cache  *Cache
	within Key
	key    Key
	stamp  uint32
	ttl    int64
	kin    *query // nil if the session inherits from nobody
}

// Done reports what became of the request. It may be called from any
// goroutine, late, twice or never. It acts only on the binding that the
// selection came from: if the session has moved on since, or was invalidated,
// nothing happens.
func (s Selection[T]) Done(o Outcome) {
	if s.stamp == 0 {
		return
	}
	switch o.Result {
	case Served:
		if l, ok := s.cache.lookup(s.key); ok && l.Stamp == s.stamp {
			s.cache.touch(&l, s.ttl)
		}
	case TerminalFailure:
		if s.cache.table.Delete(s.key.k, s.stamp, s.cache.now()) {
			for _, k := range s.kin.keys(s.cache) {
				if l, ok := s.cache.lookup(k); ok && Digest(l.Mark) == s.Session && l.target.name == s.ID {
					s.cache.table.Delete(k.k, l.Stamp, s.cache.now())
				}
			}
		}
	}
}

// Learn tells that the target holds state under the given id, such as that of
// the response that it has just made ([extract.StateReader] finds them). A
// later request that says no more than that it goes on from there is sent to
// the target, and is part of the same session. An id that is not fit to be one
// ([extract.ID]) is ignored.
//
// Ids mean something within the scope and tenant of the request only. What was
// learned takes the place of a binding in the Cache and lives as long.
func (s Selection[T]) Learn(id string) {
	id, ok := extract.ID(id)
	if s.cache == nil || !ok {
		return
	}
	key := s.cache.sub(s.within, "state", id)
	session := s.Session
	if session == 0 {
		session = key.digest()
	}
	s.cache.set(key, s.ID, session, s.ttl)
}

// A PinnedError reports that a request refers to state on an upstream that it
// cannot be sent to. See [Config.FailPinned].
type PinnedError struct {
	// Target is the ID of the target that holds the state, which is not among
	// the candidates.
	Target string
}

// Error implements error.
func (e *PinnedError) Error() string {
	return "affinity: the request refers to state on target " + e.Target + ", which is not among the candidates"
}

// Pick is Select for callers that want nothing but the target. It makes a
// Selector a [Picker], so that one can be the fallback of another.
func (s *Selector[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	sel, err := s.Select(ctx, req, candidates)
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
// then that of ctx. Other errors: [ErrNoCandidates], [ErrNotCandidate],
// [ErrNoID], a [*PinnedError], and whatever the fallback returns, wrapped. An
// error leaves bindings as they were.
//
// Select does not keep req or candidates.
func (s *Selector[T]) Select(ctx context.Context, req *extract.Request, candidates []T) (Selection[T], error) {
	if len(candidates) == 0 {
		return Selection[T]{}, ErrNoCandidates
	}
	q, ok := s.query(req)
	if !ok {
		i, err := s.fall(ctx, req, candidates)
		if err != nil {
			return Selection[T]{}, err
		}
		return s.unbound(&q, candidates[i], ReasonNoSession), nil
	}
	sel, ok := s.home(&q, candidates)
	if !ok {
		var err error
		if sel, err = s.place(ctx, &q, candidates); err != nil {
			return Selection[T]{}, err
		}
	}
	if q.sess.Confidence == extract.Conventional {
		if opening, ok := req.Opening(); ok {
			sel.Conversations = s.openings.see(q.root, opening)
		}
	}
	return sel, nil
}

// Peek returns the binding that Select would start from for req: that of its
// session, or the one that the session would take over. It changes nothing and
// asks no fallback. The target need not be among anybody's candidates.
func (s *Selector[T]) Peek(req *extract.Request) (Binding, bool) {
	q, ok := s.query(req)
	if !ok {
		return Binding{}, false
	}
	l, session, _ := s.standing(&q)
	if l.target == nil {
		return Binding{}, false
	}
	b := s.cache.binding(l)
	b.Session = session
	return b, true
}

// Invalidate removes the binding of the session of req, and those of the same
// session that it could take over, and reports whether there was any. The
// session's next request is placed anew. Threads that have a binding of their
// own keep it, unless req is theirs: InvalidateSession finds them all.
func (s *Selector[T]) Invalidate(req *extract.Request) bool {
	q, ok := s.query(req)
	if !ok {
		return false
	}
	_, session, _ := s.standing(&q)
	found := s.cache.Delete(q.key)
	for _, key := range q.keys(s.cache) {
		if l, ok := s.cache.lookup(key); ok && Digest(l.Mark) == session && s.cache.Delete(key) {
			found = true
		}
	}
	return found
}

// InvalidateSession removes the bindings of the session that d stands for, and
// returns their number. It visits the whole table: it is for operators, who
// know a session by what they read in a log.
func (s *Selector[T]) InvalidateSession(d Digest) int { return s.cache.DeleteSession(d) }

// InvalidateTarget removes all bindings to the target of that ID, at a cost
// that does not depend on their number. Their sessions are placed anew, over
// all candidates, when they come back.
func (s *Selector[T]) InvalidateTarget(id string) { s.cache.DeleteTarget(id) }

// Counts returns the number of live bindings of every target that has any. It
// visits the whole table, without stopping anybody.
func (s *Selector[T]) Counts() map[string]int { return s.cache.Counts() }

// Cache returns the Cache with the bindings.
func (s *Selector[T]) Cache() *Cache { return s.cache }

// Close retires the Selector: it answers every later request from the
// fallback, as one without a session, and binds nothing, so that requests
// under way while a configuration is replaced are not lost. The Cache is left
// as it is, since another Selector may have taken it over. Close returns nil
// and may be called again. A Selector that is dropped without it leaks nothing.
func (s *Selector[T]) Close() error {
	s.closed.Store(true)
	return nil
}

// query is what is asked for one request.
type query struct {
	req    *extract.Request
	sess   extract.Session
	within Key   // tenant and scope
	root   Key   // the session
	key    Key   // the binding: that of the session, or of its thread
	ttl    int64 // of the binding
}

// inherits reports whether there are other bindings that the session could take
// over, or that were stored beside its own.
func (q *query) inherits() bool {
	return q.key != q.root || len(q.sess.Continues)+len(q.sess.Near)+len(q.sess.Aliases) > 0
}

// keys returns the keys of these bindings. A nil query has none.
func (q *query) keys(c *Cache) []Key {
	if q == nil || !q.inherits() {
		return nil
	}
	keys := []Key{q.root}
	if q.sess.ParentThread != "" {
		keys = append(keys, c.sub(q.within, q.sess.Source, q.sess.ID, q.sess.ParentThread))
	}
	for _, ids := range [][]string{q.sess.Aliases, q.sess.Continues, q.sess.Near} {
		for _, id := range ids {
			keys = append(keys, c.sub(q.within, q.sess.Source, id))
		}
	}
	return keys
}

// query asks the extractor.
func (s *Selector[T]) query(req *extract.Request) (query, bool) {
	q := query{req: req, ttl: s.cache.ttl}
	if req == nil {
		return q, false
	}
	var tenant string
	if s.cfg.Tenant != nil {
		tenant = s.cfg.Tenant(req)
	}
	if tenant != "" || req.Scope != "" {
		q.within = s.cache.Key(tenant, req.Scope)
	}
	if s.closed.Load() {
		return q, false
	}
	var ok bool
	if q.sess, ok = s.cfg.Extractor.Extract(req); !ok || q.sess.ID == "" {
		return q, false
	}
	if s.cfg.Threads == ThreadsShare && q.sess.Parent != "" {
		q.sess.ID = q.sess.Parent
	}
	q.root = s.key(&q, q.sess.ID)
	q.key = q.root
	if q.sess.Thread != "" && s.cfg.Threads != ThreadsShare {
		q.key = s.threadKey(&q, q.sess.Thread)
	}
	if s.cfg.Lifetime != nil {
		if ttl := s.cfg.Lifetime(q.sess); ttl > 0 {
			q.ttl = int64(ttl)
		}
	}
	return q, true
}

// key returns the key of another id of the session's kind.
func (s *Selector[T]) key(q *query, id string) Key { return s.cache.sub(q.within, q.sess.Source, id) }

func (s *Selector[T]) threadKey(q *query, thread string) Key {
	return s.cache.sub(q.within, q.sess.Source, q.sess.ID, thread)
}

// home answers with the home of the binding if that is among the candidates.
func (s *Selector[T]) home(q *query, candidates []T) (Selection[T], bool) {
	l, ok := s.cache.lookup(q.key)
	if !ok {
		return Selection[T]{}, false
	}
	i := s.index(l.target, candidates)
	if i < 0 {
		return Selection[T]{}, false
	}
	if s.cfg.SideCalls || !q.sess.Class.Beside() {
		s.cache.touch(&l, q.ttl)
	}
	return s.bound(q, candidates[i], ReasonBound, l), true
}

// index returns the place of t among the candidates, or -1. It looks first
// where t stood the last time, since lists of candidates seldom change.
func (s *Selector[T]) index(t *target, candidates []T) int {
	hint := int(t.hint.Load())
	if hint < len(candidates) && s.cfg.ID(candidates[hint]) == t.name {
		return hint
	}
	for i, c := range candidates {
		if s.cfg.ID(c) == t.name {
			t.hint.Store(uint32(i))
			return i
		}
	}
	return -1
}

// bound makes the Selection that comes from binding l.
func (s *Selector[T]) bound(q *query, target T, reason Reason, l located) Selection[T] {
	var kin *query
	if q.inherits() {
		kin = new(*q) // q itself stays on the stack
		kin.req = nil
	}
	return Selection[T]{
		kin:        kin,
		Target:     target,
		ID:         l.target.name,
		Reason:     reason,
		Source:     q.sess.Source,
		Confidence: q.sess.Confidence,
		Session:    Digest(l.Mark),
		cache:      s.cache,
		within:     q.within,
		key:        q.key,
		stamp:      l.Stamp,
		ttl:        q.ttl,
	}
}

// unbound makes a Selection that leaves no binding.
func (s *Selector[T]) unbound(q *query, target T, reason Reason) Selection[T] {
	return Selection[T]{
		Target:     target,
		ID:         s.cfg.ID(target),
		Reason:     reason,
		Source:     q.sess.Source,
		Confidence: q.sess.Confidence,
		cache:      s.cache,
		within:     q.within,
		ttl:        q.ttl,
	}
}

// fall asks the fallback, and holds it to its contract. It returns the place
// of its choice among the candidates.
func (s *Selector[T]) fall(ctx context.Context, req *extract.Request, candidates []T) (int, error) {
	target, err := s.cfg.Fallback.Pick(ctx, req, candidates)
	if err != nil {
		return 0, fmt.Errorf("affinity: fallback: %w", err)
	}
	id := s.cfg.ID(target)
	for i, c := range candidates {
		if s.cfg.ID(c) == id {
			return i, nil
		}
	}
	return 0, ErrNotCandidate
}

// standing finds what the request has to go by: its binding (own), or the one
// that it takes over. It returns the digest of the session as well.
func (s *Selector[T]) standing(q *query) (l located, session Digest, own bool) {
	if l, ok := s.cache.lookup(q.key); ok {
		return l, Digest(l.Mark), true
	}
	for _, id := range q.sess.Continues {
		if l, ok := s.cache.lookup(s.key(q, id)); ok {
			return l, Digest(l.Mark), false
		}
	}
	session = q.root.digest()
	if s.cfg.Threads == ThreadsStart {
		if q.key != q.root && q.sess.ParentThread != "" {
			if l, ok := s.cache.lookup(s.threadKey(q, q.sess.ParentThread)); ok {
				return l, session, false
			}
		}
		if q.key != q.root {
			if l, ok := s.cache.lookup(q.root); ok {
				return l, Digest(l.Mark), false
			}
		}
		if q.sess.Parent != "" {
			if l, ok := s.cache.lookup(s.key(q, q.sess.Parent)); ok {
				return l, session, false
			}
		}
	}
	for _, id := range q.sess.Near {
		if l, ok := s.cache.lookup(s.key(q, id)); ok {
			return l, session, false
		}
	}
	return located{}, session, false
}

// pinned finds the target that holds state which the request refers to. It
// returns its place among the candidates, or -1 and the ID of the target.
func (s *Selector[T]) pinned(q *query, candidates []T) (i int, absent string) {
	for _, id := range q.req.Pins() {
		l, ok := s.cache.lookup(s.cache.sub(q.within, "state", id))
		if !ok {
			continue
		}
		if i := s.index(l.target, candidates); i >= 0 {
			return i, ""
		}
		absent = l.target.name
	}
	return -1, absent
}

// place finds a home for a session that has none among the candidates. Of
// several requests at once, one does so and the others wait for it.
func (s *Selector[T]) place(ctx context.Context, q *query, candidates []T) (Selection[T], error) {
	if !s.cfg.SideCalls && (q.sess.Class.Beside() || q.req.Class().Beside()) {
		return s.follow(ctx, q, candidates)
	}
	f, first := s.flights.join(q.key)
	if first {
		defer s.flights.leave(q.key, f)
		return s.settle(ctx, q, candidates)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Selection[T]{}, fmt.Errorf("affinity: waiting for another request to place the session: %w", ctx.Err())
	}
	// If the other one failed, or its target is not for us, do not queue up
	// again: a fallback that fails slowly would be asked by one after another.
	return s.settle(ctx, q, candidates)
}

// follow sends a side call where its session would go, and stores nothing.
func (s *Selector[T]) follow(ctx context.Context, q *query, candidates []T) (Selection[T], error) {
	l, session, _ := s.standing(q)
	reason, i := ReasonInherited, -1
	if l.target != nil {
		i = s.index(l.target, candidates)
	}
	if i < 0 {
		var err error
		if i, err = s.fall(ctx, q.req, candidates); err != nil {
			return Selection[T]{}, err
		}
		reason = ReasonSideCall
	}
	sel := s.unbound(q, candidates[i], reason)
	sel.Session = session
	return sel, nil
}

// settle answers with the home that the session has got meanwhile, or binds it
// to the one that holds its state, that it inherits or that the fallback
// chooses.
func (s *Selector[T]) settle(ctx context.Context, q *query, candidates []T) (Selection[T], error) {
	was, session, own := s.standing(q)
	var stamp uint32
	i, reason, from := -1, ReasonNew, ""
	if was.target != nil {
		if own {
			stamp = was.Stamp
		}
		i = s.index(was.target, candidates)
		switch {
		case i >= 0 && own:
			s.cache.touch(&was, q.ttl)
			return s.bound(q, candidates[i], ReasonBound, was), nil
		case i < 0:
			reason, from = ReasonFailover, was.target.name
		case was.target.dead.Load(): // invalidated since we looked
			i = -1
		default:
			reason = ReasonInherited
		}
	}
	pin, absent := s.pinned(q, candidates)
	switch {
	case pin >= 0:
		i, reason = pin, ReasonPinned
	case s.cfg.FailPinned && absent != "":
		return Selection[T]{}, &PinnedError{absent}
	case s.cfg.FailPinned && from != "" && len(q.req.Pins()) > 0:
		return Selection[T]{}, &PinnedError{from}
	}
	if i < 0 {
		var err error
		if i, err = s.fall(ctx, q.req, candidates); err != nil {
			return Selection[T]{}, err
		}
	}
	if s.cfg.ID(candidates[i]) == "" {
		return Selection[T]{}, ErrNoID
	}
	sel := s.bind(q, stamp, session, candidates, i, reason)
	if sel.Reason == ReasonFailover {
		sel.From = from
	}
	return sel, nil
}

// bind makes candidate i the session's home, unless the session has got one
// among the candidates since its binding had the given stamp: then that is the
// answer. A rival home that is not among the candidates gives way.
func (s *Selector[T]) bind(q *query, stamp uint32, session Digest, candidates []T, i int, reason Reason) Selection[T] {
	id := s.cfg.ID(candidates[i])
	for {
		l, ok := s.cache.bind(q.key, stamp, id, session, q.ttl)
		if ok {
			for _, alias := range q.sess.Aliases {
				s.cache.set(s.key(q, alias), id, session, q.ttl)
			}
			return s.bound(q, candidates[i], reason, l)
		}
		if l.target != nil {
			if j := s.index(l.target, candidates); j >= 0 {
				return s.bound(q, candidates[j], ReasonBound, l)
			}
		}
		stamp = l.Stamp
	}
}

// flights keeps track of the sessions that are being placed.
type flights struct {
	mu sync.Mutex
	m  map[Key]*flight
}

type flight struct{ done chan struct{} }

// join returns the flight of k and whether the caller is the first to board:
// then it must leave.
func (fs *flights) join(k Key) (*flight, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.m[k]; f != nil {
		return f, false
	}
	if fs.m == nil {
		fs.m = make(map[Key]*flight)
	}
	f := &flight{make(chan struct{})}
	fs.m[k] = f
	return f, true
}

// leave ends the flight of k, also when the fallback panics.
func (fs *flights) leave(k Key, f *flight) {
	fs.mu.Lock()
	delete(fs.m, k)
	fs.mu.Unlock()
	close(f.done)
}

// openings estimates how many conversations go by one id: each opening sets one
// of 64 bits, and the bits that are still clear tell how many there were.
type openings struct {
	mu sync.Mutex
	m  map[Key]uint64
}

// maxOpenings bounds the ids that are watched. When there are more, some that
// were seen are forgotten.
const maxOpenings = 1 << 14

// see takes in an opening of the session k and returns the estimate, which is
// close up to a hundred and says "hundreds" beyond.
func (o *openings) see(k Key, opening uint64) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.m == nil {
		o.m = make(map[Key]uint64)
	}
	seen, ok := o.m[k]
	if !ok && len(o.m) >= maxOpenings {
		for old := range o.m {
			delete(o.m, old)
			break
		}
	}
	seen |= 1 << (opening % 64)
	o.m[k] = seen
	return estimates[bits.OnesCount64(seen)]
}

// estimates[n] is the likeliest number of openings to have set n bits of 64.
var estimates = func() (e [65]int) {
	for n := range 64 {
		e[n] = int(math.Round(64 * math.Log(64/float64(64-n))))
	}
	e[64] = 64 * 6
	return e
}()
