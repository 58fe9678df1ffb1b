package affinity

import (
	"context"
	"errors"
	"fmt"
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

	// TTL is how long a binding lives after its last use. 0 means DefaultTTL.
	TTL time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity. A
	// session named by an id has one binding; one that is recognised by its
	// messages has up to three for every text that a person wrote, of which
	// the older ones expire while the conversation goes on.
	Capacity int

	// Cache holds the bindings. nil means a new one, of the given TTL and
	// Capacity; if it is set, both of them must be 0. Selectors may share a
	// Cache, or hand it on when a configuration is replaced: then sessions
	// stay where they are as long as targets keep their IDs.
	Cache *Cache
}

// A Selector keeps sessions at their targets.
//
// For every request, its extractor names the session; the Selector looks for
// the session's binding and answers with its home if that is among the
// candidates. In all other cases the fallback decides, and what it chose
// becomes the session's home. See the package documentation for the rules.
//
// Use [New]. All methods are safe for concurrent use. A hit takes no lock.
type Selector[T any] struct {
	id        func(T) string
	fallback  Picker[T]
	extractor extract.Extractor
	cache     *Cache
	flights   flights
	closed    atomic.Bool
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
	case cfg.TTL < 0:
		return nil, errors.New("affinity: Config.TTL is negative")
	case cfg.Capacity < 0:
		return nil, errors.New("affinity: Config.Capacity is negative")
	case cfg.Cache != nil && (cfg.TTL != 0 || cfg.Capacity != 0):
		return nil, errors.New("affinity: Config.Cache is set, and so is Config.TTL or Config.Capacity: set them in the CacheConfig")
	}
	s := &Selector[T]{id: cfg.ID, fallback: cfg.Fallback, extractor: cfg.Extractor, cache: cfg.Cache}
	if s.extractor == nil {
		s.extractor = extract.Default()
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
// comes with an error; its Done does nothing.
type Selection[T any] struct {
	// Target is the chosen candidate and ID its ID.
	Target T
	ID     string

	// Reason says why.
	Reason Reason

	// From is the ID of the home that a session left, for ReasonFailover.
	From string

	// Source says which signal named the session, as [extract.Session.Source]
	// does; "" if there is none.
	Source string

	// Session stands for the session where people read it, all its turns
	// alike; zero if there is none.
	Session Digest

	cache *Cache
	key   Key
	stamp uint32
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
			s.cache.touch(&l)
		}
	case TerminalFailure:
		s.cache.table.Delete(s.key.k, s.stamp, s.cache.now())
	}
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
// [ErrNoID], and whatever the fallback returns, wrapped. An error leaves
// bindings as they were.
//
// Select does not keep req or candidates.
func (s *Selector[T]) Select(ctx context.Context, req *extract.Request, candidates []T) (Selection[T], error) {
	if len(candidates) == 0 {
		return Selection[T]{}, ErrNoCandidates
	}
	sess, ok := s.session(req)
	if !ok {
		i, err := s.fall(ctx, req, candidates)
		if err != nil {
			return Selection[T]{}, err
		}
		return Selection[T]{Target: candidates[i], ID: s.id(candidates[i]), Reason: ReasonNoSession}, nil
	}
	key := s.key(req, &sess, sess.ID)
	if sel, ok := s.home(key, &sess, candidates); ok {
		return sel, nil
	}
	return s.place(ctx, req, key, &sess, candidates)
}

// Peek returns the binding that Select would start from for req: that of its
// session, or the one that the session would take over. It changes nothing and
// asks no fallback. The target need not be among anybody's candidates.
func (s *Selector[T]) Peek(req *extract.Request) (Binding, bool) {
	sess, ok := s.session(req)
	if !ok {
		return Binding{}, false
	}
	key := s.key(req, &sess, sess.ID)
	if b, ok := s.cache.Peek(key); ok {
		return b, true
	}
	if l, session := s.ancestor(req, key, &sess); l.target != nil {
		b := s.cache.binding(l)
		b.Session = session
		return b, true
	}
	return Binding{}, false
}

// Invalidate removes the binding of the session of req, and those of the same
// session that it could take over, and reports whether there was any. The
// session's next request is placed anew.
func (s *Selector[T]) Invalidate(req *extract.Request) bool {
	b, ok := s.Peek(req)
	if !ok {
		return false
	}
	sess, _ := s.session(req)
	found := s.cache.Delete(s.key(req, &sess, sess.ID))
	for _, ids := range [][]string{sess.Aliases, sess.Continues, sess.Near} {
		for _, id := range ids {
			key := s.key(req, &sess, id)
			if l, ok := s.cache.lookup(key); ok && Digest(l.Mark) == b.Session && s.cache.Delete(key) {
				found = true
			}
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

// session asks the extractor.
func (s *Selector[T]) session(req *extract.Request) (extract.Session, bool) {
	if req == nil || s.closed.Load() {
		return extract.Session{}, false
	}
	sess, ok := s.extractor.Extract(req)
	return sess, ok && sess.ID != ""
}

func (s *Selector[T]) key(req *extract.Request, sess *extract.Session, id string) Key {
	return s.cache.Key(req.Scope, sess.Source, id)
}

// home answers with the session's home if that is among the candidates.
func (s *Selector[T]) home(key Key, sess *extract.Session, candidates []T) (Selection[T], bool) {
	l, ok := s.cache.lookup(key)
	if !ok {
		return Selection[T]{}, false
	}
	i := s.index(l.target, candidates)
	if i < 0 {
		return Selection[T]{}, false
	}
	s.cache.touch(&l)
	return s.selection(candidates[i], ReasonBound, key, sess, l), true
}

// index returns the place of t among the candidates, or -1. It looks first
// where t stood the last time, since lists of candidates seldom change.
func (s *Selector[T]) index(t *target, candidates []T) int {
	hint := int(t.hint.Load())
	if hint < len(candidates) && s.id(candidates[hint]) == t.name {
		return hint
	}
	for i, c := range candidates {
		if s.id(c) == t.name {
			t.hint.Store(uint32(i))
			return i
		}
	}
	return -1
}

func (s *Selector[T]) selection(target T, reason Reason, key Key, sess *extract.Session, l located) Selection[T] {
	return Selection[T]{
		Target:  target,
		ID:      l.target.name,
		Reason:  reason,
		Source:  sess.Source,
		Session: Digest(l.Mark),
		cache:   s.cache,
		key:     key,
		stamp:   l.Stamp,
	}
}

// fall asks the fallback, and holds it to its contract. It returns the place
// of its choice among the candidates.
func (s *Selector[T]) fall(ctx context.Context, req *extract.Request, candidates []T) (int, error) {
	target, err := s.fallback.Pick(ctx, req, candidates)
	if err != nil {
		return 0, fmt.Errorf("affinity: fallback: %w", err)
	}
	id := s.id(target)
	for i, c := range candidates {
		if s.id(c) == id {
			return i, nil
		}
	}
	return 0, ErrNotCandidate
}

// ancestor finds the binding that a session without one takes over, and the
// digest that the session has from then on.
func (s *Selector[T]) ancestor(req *extract.Request, key Key, sess *extract.Session) (located, Digest) {
	for _, id := range sess.Continues {
		if l, ok := s.cache.lookup(s.key(req, sess, id)); ok {
			return l, Digest(l.Mark)
		}
	}
	for _, id := range sess.Near {
		if l, ok := s.cache.lookup(s.key(req, sess, id)); ok {
			return l, key.digest()
		}
	}
	return located{}, key.digest()
}

// place finds a home for a session that has none among the candidates. Of
// several requests at once, one does so and the others wait for it.
func (s *Selector[T]) place(ctx context.Context, req *extract.Request, key Key, sess *extract.Session, candidates []T) (Selection[T], error) {
	f, first := s.flights.join(key)
	if first {
		defer s.flights.leave(key, f)
		return s.settle(ctx, req, key, sess, candidates)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Selection[T]{}, fmt.Errorf("affinity: waiting for another request to place the session: %w", ctx.Err())
	}
	// If the other one failed, or its target is not for us, do not queue up
	// again: a fallback that fails slowly would be asked by one after another.
	return s.settle(ctx, req, key, sess, candidates)
}

// settle answers with the home that the session has got meanwhile, or binds it
// to the one that it inherits or that the fallback chooses.
func (s *Selector[T]) settle(ctx context.Context, req *extract.Request, key Key, sess *extract.Session, candidates []T) (Selection[T], error) {
	was, bound := s.cache.lookup(key)
	session := Digest(was.Mark)
	stamp := was.Stamp
	if !bound {
		was, session = s.ancestor(req, key, sess)
	}
	reason, from := ReasonNew, ""
	if was.target != nil {
		i := s.index(was.target, candidates)
		switch {
		case i < 0:
			reason, from = ReasonFailover, was.target.name
		case bound:
			s.cache.touch(&was)
			return s.selection(candidates[i], ReasonBound, key, sess, was), nil
		case !was.target.dead.Load(): // not invalidated since we looked
			return s.bind(req, key, sess, stamp, session, candidates, i, ReasonInherited, ""), nil
		}
	}
	i, err := s.fall(ctx, req, candidates)
	if err != nil {
		return Selection[T]{}, err
	}
	if s.id(candidates[i]) == "" {
		return Selection[T]{}, ErrNoID
	}
	return s.bind(req, key, sess, stamp, session, candidates, i, reason, from), nil
}

// bind makes candidate i the session's home, unless the session has got one
// among the candidates since its binding had the given stamp: then that is the
// answer. A rival home that is not among the candidates gives way.
func (s *Selector[T]) bind(req *extract.Request, key Key, sess *extract.Session, stamp uint32, session Digest, candidates []T, i int, reason Reason, from string) Selection[T] {
	id := s.id(candidates[i])
	for {
		l, ok := s.cache.bind(key, stamp, id, session)
		if ok {
			for _, alias := range sess.Aliases {
				s.cache.set(s.key(req, sess, alias), id, session)
			}
			sel := s.selection(candidates[i], reason, key, sess, l)
			sel.From = from
			return sel
		}
		if l.target != nil {
			if j := s.index(l.target, candidates); j >= 0 {
				return s.selection(candidates[j], ReasonBound, key, sess, l)
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
