package affinity

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/internal/clock"
	"github.com/go-affinity/affinity/internal/digest"
	"github.com/go-affinity/affinity/internal/lifetime"
	"github.com/go-affinity/affinity/internal/table"
)

const (
	// DefaultTTL is how long a binding lives after its last use unless
	// configured: the longest lifetime of a provider's prompt cache. To
	// believe in a dead cache costs some balance; to forget a live one costs
	// the whole prompt.
	DefaultTTL = time.Hour

	// DefaultCapacity is how many bindings a Cache holds at most unless
	// configured. Full, it takes about 55 MB.
	DefaultCapacity = 1 << 20
)

// maxTTL is as good as for ever, and leaves room to tell when a binding that
// has it was used last.
const maxTTL = 4 * 365 * 24 * time.Hour

// CacheConfig configures a [Cache]. The zero value is good.
type CacheConfig struct {
	// TTL is how long a binding lives after its last use. 0 means DefaultTTL;
	// any positive duration will do. More than four years are four years.
	TTL time.Duration

	// Capacity is the largest number of bindings. 0 means DefaultCapacity.
	// A full Cache evicts to make room: what has expired first, then what
	// went unused for longest (exactly so below 512, by comparing a sample
	// above).
	Capacity int
}

// A Key names a session in a [Cache]: a 128-bit digest, keyed with a secret of
// the Cache that made it ([Cache.Key]), so that it tells nothing about the id.
type Key struct{ k table.Key }

// A Digest is a short keyed digest that stands for a session in headers, logs
// and metrics. It is the same for every request of a conversation, also where
// each turn has a [Key] of its own, and differs from one process to the next.
// Its first six digits stand for the session's tenant and scope. The zero
// Digest stands for no session.
type Digest uint64

const (
	scopeBits   = 24
	sessionBits = 64 - scopeBits

	// asideBit marks the records of second places ([Binding.Aside]). No digest
	// has it.
	asideBit = 1
)

// digest stands for the session of that scope whose first key is k. A part of
// the key will do, since the key itself is a keyed digest.
func (k Key) digest(scope Digest) Digest {
	return scope | Digest(max(k.k.Hi&(1<<sessionBits-1)&^asideBit, asideBit<<1))
}

// scope is what the digests of all sessions have in common whose tenant and
// scope have the key k.
func (k Key) scope() Digest { return Digest(k.k.Hi).scope() }

func (d Digest) scope() Digest { return d &^ (1<<sessionBits - 1) }

// fraction places the session somewhere from 0 up to 1, evenly.
func (d Digest) fraction() float64 { return float64(d<<scopeBits>>11) / (1 << 53) }

// String returns 16 hexadecimal digits, or "" for the zero Digest.
func (d Digest) String() string {
	if d == 0 {
		return ""
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(d)))
}

// ParseDigest reads what [Digest.String] has written.
func ParseDigest(s string) (Digest, error) {
	if s == "" {
		return 0, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, errors.New("affinity: the digest of a session is 16 hexadecimal digits")
	}
	return Digest(binary.BigEndian.Uint64(b)), nil
}

// A Binding is what a [Cache] knows of a session.
type Binding struct {
	Target  string    // the ID of the session's home
	Session Digest    // stands for the session where people read it
	Scope   Digest    // stands for its tenant and scope: see Selector.Scope
	Expires time.Time // when the binding ends unless it is used before

	// Active is the number of requests under way that keep the binding alive
	// until their outcome is reported, whatever the TTL.
	Active int

	// Aside says that Target is not the home of the session but its second
	// place: where it was before, or the detour while its home is away. That
	// is a binding of its own, beside the one of the home.
	Aside bool
}

// A Cache is a sharded table of bindings: which session has its home at which
// target. Bindings expire when unused, and the least valuable make room when
// it is full.
//
// It holds keyed digests in place of ids, and target IDs once each rather than
// once a binding; the garbage collector does not look into it. Reads take no
// lock. Expired bindings are reclaimed by later writes, a few at a time; there
// is no goroutine. No operation locks the whole table, and none but
// [Cache.All], [Cache.Counts] and [Cache.Clear] visits it.
//
// A [Selector] has one of its own; give it yours ([Config.Cache]) to look
// after it by hand, or to hand it on to the Selector of a new configuration.
// Use [NewCache]. All methods are safe for concurrent use.
type Cache struct {
	ttl        int64
	exactly    bool  // the time is told exactly, since the TTL is short
	nearlyFull int64 // more bindings than that
	clock      *clock.Clock
	secret     digest.Key
	targets    registry
	table      *table.Table
	asides     atomic.Bool // whether there may be second places
	learned    atomic.Bool // whether there may be states on targets
}

// NewCache returns an empty Cache. The error, if any, names the field of the
// configuration that is at fault.
func NewCache(cfg CacheConfig) (*Cache, error) {
	if cfg.TTL < 0 {
		return nil, errors.New("affinity: CacheConfig.TTL is negative")
	}
	if cfg.Capacity < 0 {
		return nil, errors.New("affinity: CacheConfig.Capacity is negative")
	}
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	cfg.TTL = min(cfg.TTL, maxTTL)
	if cfg.Capacity == 0 {
		cfg.Capacity = DefaultCapacity
	}
	c := &Cache{
		ttl:        int64(cfg.TTL),
		exactly:    cfg.TTL < exactTTL,
		nearlyFull: int64(cfg.Capacity) / 4 * 3,
		clock:      clock.New(),
		secret:     digest.NewKey(),
	}
	c.targets.byName = make(map[string]*target)
	c.targets.traits = make(map[string]*traits)
	c.table = table.New(cfg.Capacity, int64(leaseLimit), &c.targets)
	return c, nil
}

// exactTTL is the shortest TTL for which it does not matter if the time that
// goes by is told late by a few milliseconds.
const exactTTL = 1000 * clock.Precision

// A binding that is used all the time is written to now and then only, so that
// threads do not wait for each other: its expiry may lag behind its last use.
const (
	// lag is by how much, and lagShare what part of the TTL is the most.
	lag      = 10 * time.Millisecond
	lagShare = 1024

	// In a Cache that is nearly full it matters more who was used last. There it
	// is a little, and for each binding less than it takes to make one.
	lagFull        = 10 * time.Microsecond
	lagFullBinding = 250 * time.Nanosecond

	// crowded is how close to each other requests are of which a few leases
	// stand for all.
	crowded = 10 * time.Microsecond
)

// lag is how much an expiry may lag behind.
func (c *Cache) lag(ttl int64) int64 {
	most := int64(lag)
	if n := int64(c.table.Len()); n > c.nearlyFull {
		most = int64(lagFull) + n*int64(lagFullBinding)
	}
	return min(most, ttl/lagShare)
}

// leaseLimit is how long a binding outlives its expiry because of requests
// that are under way: a caller that never reports the outcome of one must not
// hold it for ever.
const leaseLimit = time.Hour

// now is the age of the Cache in nanoseconds, plus 1: expiries are positive.
func (c *Cache) now() int64 { return c.clock.Exact() }

// lately is now, or where it is called all the time an instant of the last few
// milliseconds. That is enough for those who find a binding and use it, but not
// for those who make one: what a full table has to drop for it must not depend
// on what was used within milliseconds.
func (c *Cache) lately() int64 {
	if c.exactly {
		return c.now()
	}
	return c.clock.Now()
}

// expiry returns the instant from which a binding used at now has expired.
func expiry(now, ttl int64) int64 {
	if now > math.MaxInt64-ttl {
		return math.MaxInt64
	}
	return now + ttl
}

// Key returns the key of the session that is named by parts, in order. Parts
// are kept apart: ("a", "bc") and ("ab", "c") are two sessions.
func (c *Cache) Key(parts ...string) Key { return c.sub(Key{}, parts...) }

// sub returns the key of the session that is named by parts within k.
func (c *Cache) sub(k Key, parts ...string) Key {
	sum := digest.Sum(k.k)
	for _, p := range parts {
		sum = c.secret.Add(sum, p)
	}
	return Key{table.Key(sum)}
}

// aside is the key of the second place of the session k.
func (k Key) aside() Key { return Key{table.Key{Hi: k.k.Hi, Lo: ^k.k.Lo}} }

// Get returns the binding of k and makes its expiry slide: the binding lives
// for another TTL from now. (To save writes, the expiry may lag behind by 10 ms,
// but no more than a thousandth of the TTL. In a Cache that is nearly full it is
// 10 us, and 250 ns for each binding that there is.)
func (c *Cache) Get(k Key) (b Binding, ok bool) {
	var l located
	if ok = c.find(k, c.lately(), &l); ok {
		c.touch(&l, c.ttl, c.lag(c.ttl), false)
		c.describe(&l, &b)
	}
	return b, ok
}

// Peek returns the binding of k and leaves everything as it is.
func (c *Cache) Peek(k Key) (Binding, bool) {
	l, ok := c.lookup(k, c.now())
	if !ok {
		return Binding{}, false
	}
	return c.binding(&l), true
}

// Set binds k to target, in place of any other binding.
func (c *Cache) Set(k Key, target string) Binding {
	now := c.now()
	l := c.set(k, target, uint64(k.digest(0)), now, expiry(now, c.ttl))
	return c.binding(&l)
}

// SetIfAbsent binds k to target unless it is bound, and returns the binding
// that holds. Of any number of concurrent calls for one key, exactly one
// returns true.
func (c *Cache) SetIfAbsent(k Key, target string) (Binding, bool) {
	for {
		now := c.now()
		l, ok := c.bind(k, 0, target, uint64(k.digest(0)), now, expiry(now, c.ttl), false)
		if l.target != nil {
			return c.binding(&l), ok
		}
	}
}

// Delete removes the binding of k and reports whether there was one.
func (c *Cache) Delete(k Key) bool { return c.table.Delete(k.k, 0, c.now()) }

// DeleteTarget removes every binding to target, at once and at a cost that
// does not depend on their number. A request that is being bound to target at
// the time may come out unbound.
func (c *Cache) DeleteTarget(target string) { c.targets.kill(target) }

// DeleteFunc removes every binding for which match is true and returns their
// number, second places included. It visits the whole table, shard by shard,
// without stopping anybody.
func (c *Cache) DeleteFunc(match func(Key, Binding) bool) int {
	n := 0
	for l := range c.live() {
		if match(l.key, c.binding(&l)) && c.table.Delete(l.key.k, l.Stamp(), c.now()) {
			n++
		}
	}
	return n
}

// MoveFunc gives every session for whose binding match is true to target, and
// returns their number. The bindings expire when they would have; outcomes of
// requests that began before do not act on them. Second places for which match
// is true are forgotten. It visits the whole table, shard by shard, without
// stopping anybody.
func (c *Cache) MoveFunc(target string, match func(Key, Binding) bool) int {
	n := 0
	for l := range c.live() {
		switch {
		case l.target.name == target || !match(l.key, c.binding(&l)):
		case l.aside():
			c.table.Delete(l.key.k, l.Stamp(), c.now())
		default:
			var expires int64 // as it is
			if now := c.now(); l.Expires <= now {
				expires = expiry(now, c.ttl) // it lived by the leases of requests under way
			}
			if _, ok := c.bind(l.key, l.Stamp(), target, l.Mark(), c.now(), expires, false); ok {
				n++
			}
		}
	}
	return n
}

// Clear removes every binding.
func (c *Cache) Clear() { c.table.Clear() }

// Len returns the number of bindings held, those among them that have ended
// and were not reclaimed yet. It never exceeds the capacity.
func (c *Cache) Len() int { return c.table.Len() }

// Counts returns the number of live bindings of every target that has any,
// without second places. It visits the whole table, shard by shard.
func (c *Cache) Counts() map[string]int {
	counts := make(map[string]int)
	for l := range c.live() {
		if !l.aside() {
			counts[l.target.name]++
		}
	}
	return counts
}

// All returns an iterator over the live bindings, in no order. Bindings that
// are made or changed meanwhile may be missing or not; the loop may use the
// Cache.
func (c *Cache) All() iter.Seq2[Key, Binding] {
	return func(yield func(Key, Binding) bool) {
		for l := range c.live() {
			if !yield(l.key, c.binding(&l)) {
				return
			}
		}
	}
}

func (c *Cache) live() iter.Seq[located] {
	return func(yield func(located) bool) {
		now := c.now()
		c.table.All(now, func(k table.Key, f table.Found) bool {
			t := c.targets.get(f.Ref())
			return t == nil || yield(located{f, f.Expires(), Key{k}, t, now})
		})
	}
}

// located is a binding as the table has it, with its key and its target.
type located struct {
	table.Found
	Expires int64 // as it is now
	key     Key
	target  *target
	now     int64 // when it was looked up
}

func (l *located) session() Digest { return Digest(l.Mark() &^ asideBit) }
func (l *located) aside() bool     { return l.Mark()&asideBit != 0 }

// idle is how long the binding had not been used when it was looked up, if a
// use gives it that ttl.
func (l *located) idle(ttl int64) time.Duration {
	return time.Duration(max(0, l.now-(l.Expires-ttl)))
}

func (c *Cache) binding(l *located) (b Binding) {
	c.describe(l, &b)
	return b
}

func (c *Cache) describe(l *located, b *Binding) {
	b.Target = l.target.name
	b.Session = l.session()
	b.Scope = b.Session.scope()
	b.Expires = c.clock.Time(l.Expires)
	b.Active = l.Leases()
	b.Aside = l.aside()
}

// lookup finds the live binding of k.
func (c *Cache) lookup(k Key, now int64) (l located, ok bool) {
	ok = c.find(k, now, &l)
	return l, ok
}

// find is lookup where every nanosecond counts: a struct of that size takes its
// time to be returned.
func (c *Cache) find(k Key, now int64, l *located) bool {
	for {
		f, ok := c.table.Get(k.k, now)
		if !ok {
			return false
		}
		t := c.targets.get(f.Ref())
		dead := t == nil || t.dead.Load()
		switch {
		case !f.Holds(): // the number may be that of another target by now
		case dead:
			return false
		default:
			*l = located{f, f.Expires(), k, t, now}
			return true
		}
	}
}

// touch makes the expiry of a binding slide that was found by lookup, unless it
// is within gap of what it would be, and takes a lease on it if asked to. It
// reports whether it has taken one.
func (c *Cache) touch(l *located, ttl, gap int64, lease bool) bool {
	to := expiry(l.now, ttl)
	if lease {
		gap = min(gap, int64(crowded))
	} else if max(to-l.Expires, l.Expires-to) <= gap {
		return false
	}
	expires, leased := c.table.Touch(l.key.k, l.Found, to, gap, lease)
	if expires != 0 {
		l.Expires = expires
	}
	return leased
}

// bind binds k to target if the live binding of k has the given stamp, 0 being
// that of no binding. An expiry of 0 leaves it as it is, if there is a binding.
// It returns the binding that holds afterwards, which is
// zero if there is none, and whether it is the new one.
func (c *Cache) bind(k Key, stamp uint32, target string, mark uint64, now, expires int64, lease bool) (located, bool) {
	r := table.Record{Expires: expires, Mark: mark}
	if lease {
		r.Leases = 1
	}
	t := c.targets.acquire(target)
	r.Ref = t.ref
	f, ok := c.table.Set(k.k, stamp, r, now)
	if !ok {
		c.targets.Release(t.ref)
		l, _ := c.lookup(k, now)
		return l, false
	}
	return located{f, f.Expires(), k, t, now}, true
}

// set binds k to target whatever it is bound to.
func (c *Cache) set(k Key, target string, mark uint64, now, expires int64) located {
	var stamp uint32
	for {
		l, ok := c.bind(k, stamp, target, mark, now, expires, false)
		if ok {
			return l
		}
		stamp = l.Stamp()
	}
}

// end tells that a request has ended that used the binding of k that was found:
// it gives back its lease, if it has one, and lets the expiry slide if ttl is
// not 0.
func (c *Cache) end(k Key, f table.Found, leased bool, ttl int64) {
	now, to := c.lately(), int64(0)
	if ttl > 0 {
		to = expiry(now, ttl)
	}
	c.table.End(k.k, f, leased, to, c.lag(ttl), now)
}

// unuse takes back that the binding of k was used by a request that failed:
// nothing came into its target's cache. It lets be what another one uses.
func (c *Cache) unuse(k Key, stamp uint32, expires, used int64) {
	if c.now() < expires {
		c.table.Untouch(k.k, stamp, used, expires)
	}
}

// drain lets target have no new sessions until it is resumed, and none at all
// from that instant on, if it is not zero.
func (c *Cache) drain(target string, until time.Time) {
	end := int64(math.MaxInt64)
	if !until.IsZero() {
		end = max(1, c.clock.At(until))
	}
	c.targets.drain(target, end)
}

func (c *Cache) resume(target string) { c.targets.drain(target, 0) }

// A target is the one copy of a target's ID, and what its bindings share.
type target struct {
	name   string
	ref    uint32
	hint   atomic.Uint32 // where it stood among the candidates last
	dead   atomic.Bool
	traits *traits
	_      apart
	slots  atomic.Int64 // bindings that refer to it, and calls about to make one
}

// apart keeps what all requests read off the cache line of what some of them
// write.
type apart [64]byte

// traits is what is known of a target apart from its bindings. It outlives
// them: a target that is invalidated is the same afterwards.
type traits struct {
	life     lifetime.Estimate // of its prompt cache
	drain    atomic.Int64      // when its sessions must be gone; 0 if it is not drained
	left     atomic.Int64      // when a session left it for others' sake
	presence presence
}

// drained reports whether the target has to give up the sessions it has.
func (t *traits) drained(now int64) bool {
	end := t.drain.Load()
	return end != 0 && now >= end
}

// leaveGap is how long a target that has more than its share keeps the rest of
// its sessions after one has left: what it did for that one is still counted.
const leaveGap = int64(30 * time.Second)

// mayLeave reports whether it is time for another session to leave.
func (t *traits) mayLeave(now int64) bool {
	left := t.left.Load()
	return left == 0 || now-left >= leaveGap
}

// leave is mayLeave for the one that does.
func (t *traits) leave(now int64) bool {
	left := t.left.Load()
	return (left == 0 || now-left >= leaveGap) && t.left.CompareAndSwap(left, now)
}

// maxTraits bounds the targets that are remembered when they have no bindings.
const maxTraits = 1 << 14

// presence follows whether a target is among the candidates of its sessions,
// and lets them come back one by one when it was away.
type presence struct {
	away atomic.Bool  // missed, and not seen since
	last atomic.Int64 // when it was missed last; 0 if never

	mu     sync.Mutex
	calls  int   // that missed it since it was seen
	from   int64 // when the first of them did
	back   int64 // when it was seen again
	spread int64 // over what time its sessions come back from then on
}

// maxSpread is the longest that the sessions of a target take to come back.
const maxSpread = int64(5 * time.Minute)

// missing notes that a session did not find the target among its candidates.
func (p *presence) missing(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away.Swap(true) {
		p.from, p.calls = now, 0
	}
	p.calls++
	p.last.Store(now)
}

// present notes that a session did. A single call that missed the target says
// something about the call, not about the target.
func (p *presence) present(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.away.Swap(false) || p.calls < 2 {
		return
	}
	if spread := min(now-p.from, maxSpread); now+spread > p.back+p.spread {
		p.back, p.spread = now, spread
	}
}

// awaits reports whether it is the turn of the session at that fraction of all
// to come back.
func (p *presence) awaits(now int64, fraction float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(now-p.back) >= fraction*float64(p.spread)
}

// registry gives out small numbers for target IDs. A number dies when the
// target is invalidated, and all bindings with it; the same ID then gets a new
// one. Numbers without bindings are used again, but only after quarantine
// others have been given up: a reader may hold one for a moment longer.
type registry struct {
	byRef  atomic.Pointer[[]atomic.Pointer[target]]
	drains atomic.Int32 // targets being drained
	_      apart

	mu     sync.Mutex
	byName map[string]*target
	traits map[string]*traits
	n      uint32 // numbers given out so far
	idle   []uint32
}

const quarantine = 1024

// get returns the target of ref, or nil if it is gone.
func (g *registry) get(ref uint32) *target {
	refs := g.byRef.Load()
	if refs == nil || int(ref) >= len(*refs) {
		return nil
	}
	return (*refs)[ref].Load()
}

// acquire returns the target of that name, counted once more.
func (g *registry) acquire(name string) *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.byName[name]
	if t == nil {
		t = &target{name: name, ref: g.number(), traits: g.traitsOf(name)}
		(*g.byRef.Load())[t.ref].Store(t)
		g.byName[name] = t
	}
	t.slots.Add(1)
	return t
}

// traitsOf returns the traits of the target of that name. Called with g locked.
func (g *registry) traitsOf(name string) *traits {
	if t := g.traits[name]; t != nil {
		return t
	}
	for old, t := range g.traits {
		if len(g.traits) < maxTraits {
			break
		}
		if g.byName[old] == nil && t.drain.Load() == 0 {
			delete(g.traits, old)
		}
	}
	t := new(traits)
	g.traits[name] = t
	return t
}

// drain sets when the target of that name has to give up its sessions.
func (g *registry) drain(name string, end int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.traitsOf(name).drain.Swap(end)
	switch {
	case was == 0 && end != 0:
		g.drains.Add(1)
	case was != 0 && end == 0:
		g.drains.Add(-1)
	}
}

// draining reports whether the target of that name takes no new sessions.
func (g *registry) draining(name string) bool {
	if g.drains.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.traits[name]
	return t != nil && t.drain.Load() != 0
}

// number returns a number to use. Called with g locked.
func (g *registry) number() uint32 {
	if len(g.idle) > quarantine {
		ref := g.idle[0]
		g.idle = append(g.idle[:0], g.idle[1:]...)
		return ref
	}
	old := g.byRef.Load()
	if old == nil || int(g.n) == len(*old) {
		var have []atomic.Pointer[target]
		if old != nil {
			have = *old
		}
		refs := make([]atomic.Pointer[target], max(16, 2*len(have)))
		for i := range have {
			refs[i].Store(have[i].Load())
		}
		g.byRef.Store(&refs)
	}
	g.n++
	return g.n - 1
}

// kill makes all present bindings of the target void.
func (g *registry) kill(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.byName[name]; t != nil {
		t.dead.Store(true)
		delete(g.byName, name)
		if t.slots.Load() == 0 {
			g.retire(t)
		}
	}
}

// Alive implements [table.Owner].
func (g *registry) Alive(ref uint32) bool {
	t := g.get(ref)
	return t != nil && !t.dead.Load()
}

// Release implements [table.Owner].
func (g *registry) Release(ref uint32) {
	t := g.get(ref)
	if t.slots.Add(-1) > 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.slots.Load() > 0 || g.get(ref) != t {
		return
	}
	if !t.dead.Swap(true) {
		delete(g.byName, t.name)
	}
	g.retire(t)
}

// retire gives up the number of a target that has no bindings. Called with g
// locked.
func (g *registry) retire(t *target) {
	(*g.byRef.Load())[t.ref].Store(nil)
	g.idle = append(g.idle, t.ref)
}
