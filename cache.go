package affinity

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

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

// CacheConfig configures a [Cache]. The zero value is good.
type CacheConfig struct {
	// TTL is how long a binding lives after its last use. 0 means DefaultTTL;
	// any positive duration will do.
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
// The zero Digest stands for no session.
type Digest uint64

// String returns 16 hexadecimal digits, or "" for the zero Digest.
func (d Digest) String() string {
	if d == 0 {
		return ""
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(d)))
}

// A Binding is what a [Cache] knows of a session.
type Binding struct {
	Target  string    // the ID of the session's home
	Session Digest    // stands for the session where people read it
	Expires time.Time // when the binding ends unless it is used before
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
	ttl     int64
	epoch   time.Time
	seeds   [2]uint64
	targets registry
	table   *table.Table
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
	if cfg.Capacity == 0 {
		cfg.Capacity = DefaultCapacity
	}
	c := &Cache{
		ttl:   int64(cfg.TTL),
		epoch: time.Now(),
		seeds: [2]uint64{rand.Uint64(), rand.Uint64()},
	}
	c.targets.byName = make(map[string]*target)
	c.table = table.New(cfg.Capacity, &c.targets)
	return c, nil
}

// touchGap is how much a binding's expiry may lag behind its last use. It
// keeps a session that is used by many threads at once from bouncing a cache
// line between them at every use.
const touchGap = 10 * time.Microsecond

// now is the age of the Cache in nanoseconds, plus 1: expiries are positive.
func (c *Cache) now() int64 { return int64(time.Since(c.epoch)) + 1 }

// expiry returns the instant from which a binding used at now has expired.
func expiry(now, ttl int64) int64 {
	if now > math.MaxInt64-ttl {
		return math.MaxInt64
	}
	return now + ttl
}

func (c *Cache) time(expires int64) time.Time {
	return c.epoch.Add(time.Duration(expires - 1))
}

// Key returns the key of the session that is named by parts, in order. Parts
// are kept apart: ("a", "bc") and ("ab", "c") are two sessions.
func (c *Cache) Key(parts ...string) Key {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return c.keyOf(b)
}

// sub returns the key of the session that is named by parts within k.
func (c *Cache) sub(k Key, parts ...string) Key {
	var buf [256]byte
	b := binary.LittleEndian.AppendUint64(buf[:0], k.k.Hi)
	b = binary.LittleEndian.AppendUint64(b, k.k.Lo)
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return c.keyOf(b)
}

func (c *Cache) keyOf(b []byte) Key {
	return Key{table.Key{Hi: sum(c.seeds[0], b), Lo: sum(c.seeds[1], b)}}
}

func sum(seed uint64, b []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.Write(b)
	return d.Sum64()
}

// digest stands for the session whose first key is k. A part of the key will
// do, since the key itself is a keyed digest.
func (k Key) digest() Digest { return Digest(max(k.k.Hi, 1)) }

// Get returns the binding of k and makes its expiry slide: the binding lives
// for another TTL from now. (To save writes, one that was used within the last
// 10 us, or the last thousandth of the TTL if that is less, stays as it is.)
func (c *Cache) Get(k Key) (Binding, bool) {
	l, ok := c.lookup(k)
	if !ok {
		return Binding{}, false
	}
	c.touch(&l, c.ttl)
	return c.binding(l), true
}

// Peek returns the binding of k and leaves everything as it is.
func (c *Cache) Peek(k Key) (Binding, bool) {
	l, ok := c.lookup(k)
	if !ok {
		return Binding{}, false
	}
	return c.binding(l), true
}

// Set binds k to target, in place of any other binding.
func (c *Cache) Set(k Key, target string) Binding {
	return c.binding(c.set(k, target, k.digest(), c.ttl))
}

// SetIfAbsent binds k to target unless it is bound, and returns the binding
// that holds. Of any number of concurrent calls for one key, exactly one
// returns true.
func (c *Cache) SetIfAbsent(k Key, target string) (Binding, bool) {
	for {
		if l, ok := c.bind(k, 0, target, k.digest(), c.ttl); l.target != nil {
			return c.binding(l), ok
		}
	}
}

// Delete removes the binding of k and reports whether there was one.
func (c *Cache) Delete(k Key) bool { return c.table.Delete(k.k, 0, c.now()) }

// DeleteTarget removes every binding to target, at once and at a cost that
// does not depend on their number. A request that is being bound to target at
// the time may come out unbound.
func (c *Cache) DeleteTarget(target string) { c.targets.kill(target) }

// DeleteSession removes every binding of the session that d stands for and
// returns their number. It visits the whole table, shard by shard.
func (c *Cache) DeleteSession(d Digest) int {
	n := 0
	for k, r := range c.live() {
		if Digest(r.Mark) == d && c.table.Delete(k, r.Stamp, c.now()) {
			n++
		}
	}
	return n
}

// Clear removes every binding.
func (c *Cache) Clear() { c.table.Clear() }

// Len returns the number of bindings held, those among them that have ended
// and were not reclaimed yet. It never exceeds the capacity.
func (c *Cache) Len() int { return c.table.Len() }

// Counts returns the number of live bindings of every target that has any. It
// visits the whole table, shard by shard.
func (c *Cache) Counts() map[string]int {
	counts := make(map[string]int)
	for _, r := range c.live() {
		if t := c.targets.get(r.Ref); t != nil {
			counts[t.name]++
		}
	}
	return counts
}

// All returns an iterator over the live bindings, in no order. Bindings that
// are made or changed meanwhile may be missing or not; the loop may use the
// Cache.
func (c *Cache) All() iter.Seq2[Key, Binding] {
	return func(yield func(Key, Binding) bool) {
		for k, r := range c.live() {
			if t := c.targets.get(r.Ref); t != nil && !yield(Key{k}, c.binding(located{Record: r, target: t})) {
				return
			}
		}
	}
}

func (c *Cache) live() iter.Seq2[table.Key, table.Record] {
	return func(yield func(table.Key, table.Record) bool) { c.table.All(c.now(), yield) }
}

// located is a binding as the table has it, with its target.
type located struct {
	table.Record
	target *target
	handle table.Handle
	now    int64 // when it was looked up
}

func (c *Cache) binding(l located) Binding {
	return Binding{Target: l.target.name, Session: Digest(l.Mark), Expires: c.time(l.Expires)}
}

// lookup finds the live binding of k.
func (c *Cache) lookup(k Key) (located, bool) {
	now := c.now()
	for {
		r, h, ok := c.table.Get(k.k, now)
		if !ok {
			return located{}, false
		}
		// If the binding has gone meanwhile, its target's number may be another's.
		if t := c.targets.get(r.Ref); t != nil && h.Holds(r) {
			return located{r, t, h, now}, true
		}
	}
}

// touch makes the expiry of a binding slide that was found by lookup.
func (c *Cache) touch(l *located, ttl int64) {
	gap := min(ttl/1024, int64(touchGap))
	if expires := expiry(l.now, ttl); expires-l.Expires > gap && l.handle.Touch(expires) {
		l.Expires = expires
	}
}

// bind binds k to target if the live binding of k has the given stamp, 0 being
// that of no binding. It returns the binding that holds afterwards, which is
// zero if there is none, and whether it is the new one.
func (c *Cache) bind(k Key, stamp uint32, target string, session Digest, ttl int64) (located, bool) {
	t := c.targets.acquire(target)
	now := c.now()
	r, ok := c.table.Set(k.k, stamp, table.Record{Expires: expiry(now, ttl), Ref: t.ref, Mark: uint64(session)}, now)
	if !ok {
		c.targets.Release(t.ref)
		l, _ := c.lookup(k)
		return l, false
	}
	return located{Record: r, target: t, now: now}, true
}

// set binds k to target whatever it is bound to.
func (c *Cache) set(k Key, target string, session Digest, ttl int64) located {
	var stamp uint32
	for {
		l, ok := c.bind(k, stamp, target, session, ttl)
		if ok {
			return l
		}
		stamp = l.Stamp
	}
}

// A target is the one copy of a target's ID, and what its bindings share.
type target struct {
	name  string
	ref   uint32
	hint  atomic.Uint32 // where it stood among the candidates last
	dead  atomic.Bool
	slots atomic.Int64 // bindings that refer to it, and calls about to make one
}

// registry gives out small numbers for target IDs. A number dies when the
// target is invalidated, and all bindings with it; the same ID then gets a new
// one. Numbers without bindings are used again, but only after quarantine
// others have been given up: a reader may hold one for a moment longer.
type registry struct {
	mu     sync.Mutex
	byName map[string]*target
	byRef  atomic.Pointer[[]atomic.Pointer[target]]
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
		t = &target{name: name, ref: g.number()}
		(*g.byRef.Load())[t.ref].Store(t)
		g.byName[name] = t
	}
	t.slots.Add(1)
	return t
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
