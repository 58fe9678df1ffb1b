package balance

import (
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// A ledger keeps an account of the work of every target: a sum of costs that
// decays. What a request costs is known when it ends; until then it is charged
// with an estimate, in the light of the requests before it.
type ledger struct {
	halfLife float64 // in nanoseconds
	cost     func(affinity.Usage) float64
	unit     float64 // cost of a token of a prompt
	fee      float64 // for every request, whatever its size
	start    time.Time
	shares   bool // somebody asks for the share of a target

	accounts atomic.Pointer[accounts]
	mu       sync.Mutex // for opening and closing accounts
	open     int

	// What requests are like, as decaying means.
	perByte  mean // tokens of a prompt to a byte of a request
	coldMiss mean // share of a prompt that is read anew, where the session is new,
	warmMiss mean // and where it stays
	output   mean // tokens of an answer

	// What sessions bring to where they were placed, beside the request that
	// placed them: cost to a placement, and since the last one.
	rest    mean
	brought tally
	placing atomic.Bool // there was a placement
	placed  int64       // when the last one was
}

func newLedger(halfLife time.Duration, cost func(affinity.Usage) float64) *ledger {
	if halfLife <= 0 {
		halfLife = DefaultHalfLife
	}
	if cost == nil {
		cost = affinity.Usage.Cost
	}
	l := &ledger{halfLife: float64(halfLife), cost: cost, start: time.Now()}
	t := make(accounts, 16)
	l.accounts.Store(&t)
	l.perByte.set(0.25)
	l.coldMiss.set(0.9)
	l.warmMiss.set(0.1)
	l.output.set(400)
	if l.unit = l.price(affinity.Usage{Uncached: 1000}) / 1000; l.unit == 0 {
		l.unit = 1
	}
	l.fee = perRequest * l.unit
	return l
}

// perRequest is charged for a request beside its tokens, in tokens. It keeps
// bursts of short prompts from going to one target.
const perRequest = 2000

// now is the age of the ledger in nanoseconds, never 0.
func (l *ledger) now() int64 { return int64(time.Since(l.start)) + 1 }

// decay is what is left of a load after that time.
func (l *ledger) decay(ns int64) float64 {
	if ns <= 0 {
		return 1
	}
	x := float64(ns) / l.halfLife * math.Ln2
	if x < 1.0/64 {
		return 1 - x + x*x/2 // close enough, and most are
	}
	return math.Exp(-x)
}

// accounts is a hash table with linear probing, at most half full. It is read
// without a lock. Entries are added in place and taken out by making a new one.
type accounts []atomic.Pointer[account]

// find returns the account of id, or nil and where it belongs.
func (t accounts) find(id string, target uint64) (a *account, at uint64) {
	mask := uint64(len(t) - 1)
	for at = target & mask; ; at = (at + 1) & mask {
		a = t[at].Load()
		if a == nil || a.target == target && a.id == id {
			return a, at
		}
	}
}

const (
	// maxAccounts is the largest number of accounts.
	maxAccounts = 1 << 16

	// An account is closed when it went unused for so many half-lives. A
	// millionth is left by then.
	closing = 20
)

// known returns the account of id, nil if there is none.
func (l *ledger) known(id string) *account {
	a, _ := (*l.accounts.Load()).find(id, hashOf(id))
	return a
}

// account returns the account of id, which it opens if there is none.
func (l *ledger) account(id string) *account {
	if a := l.known(id); a != nil {
		return a
	}
	return l.openAccount(id)
}

func (l *ledger) openAccount(id string) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	target := hashOf(id)
	a, at := (*l.accounts.Load()).find(id, target)
	if a != nil {
		return a
	}
	if l.open >= maxAccounts || 2*(l.open+1) > len(*l.accounts.Load()) {
		l.tidy()
		_, at = (*l.accounts.Load()).find(id, target)
	}
	a = &account{id: strings.Clone(id), target: target, weight: 1}
	(*l.accounts.Load())[at].Store(a)
	l.open++
	return a
}

func hashOf(id string) uint64 { return xxhash.Sum64String(id) }

// tidy makes room for as many accounts again as are left when those are closed
// that went unused for long; and if that is not enough, those that went unused
// for longer than the mean.
func (l *ledger) tidy() {
	since := float64(l.now()) - closing*l.halfLife
	if l.open >= maxAccounts {
		sum, n := 0.0, 0.0
		for a := range l.all() {
			if last := float64(a.last()); last > since {
				sum += last
				n++
			}
		}
		if n >= maxAccounts/2 {
			since = sum / n
		}
	}
	var kept []*account
	for a := range l.all() {
		if !a.close(since) {
			kept = append(kept, a)
		}
	}
	t := make(accounts, 16<<bits.Len(uint(len(kept)/4)))
	for _, a := range kept {
		_, at := t.find(a.id, a.target)
		t[at].Store(a)
	}
	l.open = len(kept)
	l.accounts.Store(&t)
}

// all goes through the accounts.
func (l *ledger) all() iter.Seq[*account] {
	return func(yield func(*account) bool) {
		t := *l.accounts.Load()
		for i := range t {
			if a := t[i].Load(); a != nil && !yield(a) {
				return
			}
		}
	}
}

// An account is the work that a target has been given.
type account struct {
	id     string
	target uint64 // stands for the ID
	held   belief

	mu     sync.Mutex // for all that follows
	sum    float64    // at the instant at
	at     int64
	placed int64   // when the target last was a candidate; 0 is never
	weight float64 // as last seen
	pool   *pool   // the candidates of that placement, itself among them,
	fair   float64 // and the work of all by the weight of all
	others float64 // the same of the others at that placement
	coming float64 // what the sessions placed there are likely to bring yet
	closed bool
}

func (a *account) last() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(a.at, a.placed)
}

// close closes the account if it went unused since then.
func (a *account) close(since float64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = float64(max(a.at, a.placed)) <= since
	if a.closed {
		a.pool = nil // which others may keep it from, and so on
	}
	return a.closed
}

// advance lets the sum decay until now. Called with a locked.
func (a *account) advance(l *ledger, now int64) {
	if now > a.at {
		a.sum *= l.decay(now - a.at)
		a.coming *= l.decay(patience * (now - a.at))
		a.at = now
	}
}

// add adds to what a target has and to what is to come.
func (l *ledger) add(a *account, cost, coming float64, now int64) {
	for !a.add(l, cost, coming, now) { // it was closed meanwhile
		a = l.openAccount(a.id)
	}
}

func (a *account) add(l *ledger, cost, coming float64, now int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.advance(l, now)
	a.sum += cost
	a.coming = max(0, a.coming+coming)
	return true
}

// patience is how many times as fast as work that what was expected is
// forgotten: nobody says when a session has ended.
const patience = 8

// placement begins one: it returns what a session is likely to cost later,
// where it was placed. It is nothing if every request is placed. That is to come
// from then on: were it left out of account, all sessions that start at the same
// time would go to the same few targets. Placements take turns.
func (l *ledger) placement(now int64) float64 {
	since := now - l.placed
	l.placed = now
	if !l.placing.Load() {
		l.placing.Store(true)
		return 0
	}
	// Of a long time only as much counts as what was expected lives: the work of a
	// night in which nobody was placed is not that of one session.
	brought := l.brought.take() * min(1, l.halfLife/patience/math.Ln2/float64(since))
	l.rest.observe(brought)
	return l.rest.get()
}

// unplaced is the rest of a request that was not placed.
const unplaced = -1

// charge charges a target for a request, with what is to come of its session if
// it was placed. If not, so much of that has come. Those that come before the
// first placement are of sessions that others have placed.
func (l *ledger) charge(a *account, cost, rest float64, now int64) {
	if rest == unplaced {
		rest = 0
		if l.placing.Load() {
			l.brought.add(cost)
			rest = -cost
		}
	}
	l.add(a, cost+l.fee, rest, now)
}

// A tally is a sum that many add to.
type tally struct{ bits atomic.Uint64 }

func (t *tally) add(x float64) {
	for {
		old := t.bits.Load()
		if t.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

// take returns the sum and begins anew.
func (t *tally) take() float64 { return math.Float64frombits(t.bits.Swap(0)) }

// amend corrects what was charged at an earlier time.
func (a *account) amend(l *ledger, cost float64, charged int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum = max(0, a.sum+cost*l.decay(a.at-charged))
}

// A pool is the candidates of a placement. It does not change.
type pool struct{ accounts []*account }

// is reports whether the pool is that of these candidates, in this order.
func (p *pool) is(runners []runner) bool {
	return p != nil && slices.EqualFunc(p.accounts, runners, func(a *account, r runner) bool { return a == r.account })
}

// work returns what a has had to do, its weight, its pool and what was fair there.
func (a *account) work(l *ledger, now int64) (work, weight float64, p *pool, fair float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sum * l.decay(now-a.at), a.weight, a.pool, a.fair
}

// overloaded reports whether a target has more than so many times what is fair: the
// load of those that were candidates when it last was, taken together, as it was then
// or, if there is more to do, as it is now. It has not if it never was a candidate.
func (l *ledger) overloaded(id string, times float64) bool {
	a := l.known(id)
	if a == nil {
		return false
	}
	now := l.now()
	own, weight, pool, fair := a.work(l, now)
	if pool == nil || own == 0 || own/weight <= times*fair {
		return false // mostly so, without a look at all the others
	}
	var all, weights float64
	for _, a := range pool.accounts {
		work, weight, _, _ := a.work(l, now)
		all += work
		weights += weight
	}
	return own/weight > times*max(fair, all/weights)
}

// A field is the candidates of one placement.
type field struct {
	runners []runner
	mean    float64 // load: the work of all by the weight of all
	least   float64

	// The largest weight. A session fills smaller targets for longer. Were they
	// compared as they are before it, they would be given more than their share, and
	// as they are after it, less, if anything: so half of that counts.
	most float64

	index []int32 // runners by the hash of the target, from 1; half full at most
}

type runner struct {
	at      int // among the candidates
	account *account
	weight  float64
	load    float64 // by its weight
	missed  int64   // for how long there were placements without it
	others  float64 // the load of the others at the last one with it
	coming  float64 // by its weight
	held    part    // of the prompt
}

// enter indexes the runners.
func (f *field) enter() {
	size := 2 << bits.Len(uint(len(f.runners)))
	f.index = slices.Grow(f.index[:0], size)[:size]
	clear(f.index)
	for i := range f.runners {
		at := f.runners[i].account.target
		for ; f.index[at&uint64(size-1)] != 0; at++ {
		}
		f.index[at&uint64(size-1)] = int32(i + 1)
	}
}

// find returns the runner of a target, or nil.
func (f *field) find(target uint64) *runner {
	mask := uint64(len(f.index) - 1)
	for at := target; ; at++ {
		i := f.index[at&mask]
		if i == 0 {
			return nil
		}
		if r := &f.runners[i-1]; r.account.target == target {
			return r
		}
	}
}

// spares are fields that are not in use: as many as there were placements at the
// same time.
type spares struct {
	mu     sync.Mutex
	fields []*field
}

func (s *spares) get() *field {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.fields)
	if n == 0 {
		return new(field)
	}
	f := s.fields[n-1]
	s.fields = s.fields[:n-1]
	return f
}

func (s *spares) put(f *field) {
	clear(f.runners) // nobody else keeps accounts that were closed
	f.runners = f.runners[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fields = append(s.fields, f)
}

// pause is the part of a half-life for which a target is not taken to have been
// away.
const pause = 1.0 / 1024

// muchMore is how many times as much as others have had to do together a target may
// be given for the time that it was away.
const muchMore = 16

// weigh finds out the loads of the candidates.
//
// A target that could not be chosen for a while, since it was out of order, say,
// or is new, has not been idle for want of work. It is given the mean load for
// the time that it missed: were it to make up for that, all new sessions would go
// there, and with the work that they bring later it would have too much. But it
// is given no more than the least loaded of the others has, so that its turn
// comes however seldom it is a candidate.
func (l *ledger) weigh(f *field, now int64) {
	var placed int64 // the last placement of any of them
	for i := range f.runners {
		r := &f.runners[i]
		a := r.account
		a.mu.Lock()
		a.advance(l, now)
		a.weight = r.weight
		r.load, r.missed, r.others, r.coming = a.sum/r.weight, a.placed, a.others, a.coming/r.weight
		placed = max(placed, a.placed)
		a.mu.Unlock()
	}
	var work, weight float64
	least := math.Inf(1)
	for i := range f.runners {
		r := &f.runners[i]
		if r.missed == 0 {
			r.missed = math.MaxInt64 // it was never there
		} else if r.missed = placed - r.missed; float64(r.missed) < pause*l.halfLife {
			r.missed = 0
			least = min(least, r.load)
			work += r.load * r.weight
			weight += r.weight
		}
	}
	mean, most := work/weight, work // if there are any
	f.least, f.most, work, weight = math.Inf(1), 0, 0, 0
	for i := range f.runners {
		r := &f.runners[i]
		if most > 0 && r.missed > 0 && r.load < least {
			debt := mean * (1 - l.decay(r.missed))
			if r.load > 0 && r.others > 0 { // either may be next to nothing, and mean/others infinite
				debt += r.load * (mean/r.others - 1) // the others had more to do without it
			}
			debt = max(0, min(debt, least-r.load, muchMore*most/r.weight-r.load))
			r.load += debt
			l.add(r.account, debt*r.weight, 0, now)
		}
		f.least, f.most = min(f.least, r.load), max(f.most, r.weight)
		work += r.load * r.weight
		weight += r.weight
	}
	f.mean = work / weight
	p := l.poolOf(f)
	for i := range f.runners {
		r := &f.runners[i]
		a := r.account
		a.mu.Lock()
		a.placed, a.pool, a.fair = now, p, f.mean
		a.others = 0
		if len(f.runners) > 1 {
			a.others = (work - r.load*r.weight) / (weight - r.weight)
		}
		a.mu.Unlock()
	}
}

// poolOf returns the pool of the candidates: the one that they had, mostly.
func (l *ledger) poolOf(f *field) *pool {
	if !l.shares {
		return nil
	}
	_, _, p, _ := f.runners[0].account.work(l, 0)
	if !p.is(f.runners) {
		p = &pool{make([]*account, len(f.runners))}
		for i, r := range f.runners {
			p.accounts[i] = r.account
		}
	}
	return p
}

// size is how long a request is, in bytes.
func size(req *extract.Request) int {
	if req == nil {
		return 0
	}
	return len(req.Body)
}

// tokens estimates how long a prompt of that many bytes is. What is longer than models
// read is not text: were it, a request with a film whose client leaves would weigh as
// much as all others of a day.
func (l *ledger) tokens(bytes int) float64 {
	return min(float64(bytes)*l.perByte.get(), maxPrompt)
}

// miss estimates how many tokens of a prompt of that many have to be read anew.
func (l *ledger) miss(tokens float64, warm bool) float64 {
	if warm {
		return tokens * l.warmMiss.get()
	}
	return tokens * l.coldMiss.get()
}

// estimate is what a prompt of that many tokens is likely to cost, of which so
// many have to be read anew.
func (l *ledger) estimate(tokens, miss float64) float64 {
	return l.price(affinity.Usage{Uncached: int(miss), Cached: int(tokens - miss), Output: int(l.output.get())})
}

// price is the cost of u, or 0 if it makes no sense.
func (l *ledger) price(u affinity.Usage) float64 {
	if cost := l.cost(u); cost >= 0 && cost <= maxCost {
		return cost
	}
	return 0
}

// Usage and cost beyond all reason are not taken in.
const (
	maxPrompt = 1 << 20 // tokens, where they are an estimate
	maxTokens = 1 << 22
	maxCost   = 1e15
)

// valid reports whether u can be what a request has used.
func valid(u affinity.Usage) bool {
	return u != affinity.Usage{} && min(u.Uncached, u.Cached, u.Output) >= 0 && max(u.Uncached, u.Cached, u.Output) <= maxTokens
}

// memo is what a ticket tells of a request, in half a word: how many bytes it has,
// whether most of it should be in the cache, and whether it was placed, which is
// where there is a rest.
func memo(bytes int, warm bool, rest float64) uint64 {
	m := uint64(min(max(bytes, 0), mostBytes)) << 1
	if warm {
		m |= 1
	}
	if rest != unplaced {
		m |= placedBit
	}
	return m
}

const (
	mostBytes = 1<<30 - 1
	placedBit = 1 << 31
)

// bytesOf returns how many bytes the request has.
func bytesOf(t affinity.Ticket) int { return int(t.Memo[0] >> 1 & mostBytes) }

// settle puts the real cost in place of the estimate. It reports whether the
// usage is one to learn from.
func (l *ledger) settle(id string, t affinity.Ticket, o affinity.Outcome) bool {
	u := o.Usage
	if !valid(u) {
		return false
	}
	failed := o.Result == affinity.TransientFailure || o.Result == affinity.TerminalFailure
	if cost := l.cost(u); cost >= 0 && cost <= maxCost && !(failed && cost < t.Cost) {
		l.amend(id, cost-t.Cost, t.Time)
	}
	if o.Result != affinity.Served {
		return false
	}
	bytes, warm := bytesOf(t), t.Memo[0]&1 != 0
	if prompt := float64(u.Uncached + u.Cached); prompt > 0 {
		// Nothing else can be text: there are images, or state of the server.
		if ratio := prompt / float64(bytes); bytes >= 1024 && ratio > 1.0/16 && ratio <= 1 {
			l.perByte.observe(ratio)
		}
		if warm {
			l.warmMiss.observe(float64(u.Uncached) / prompt)
		} else {
			l.coldMiss.observe(float64(u.Uncached) / prompt)
		}
	}
	l.output.observe(float64(u.Output))
	return true
}

// amend corrects what a target was charged at an earlier time. One whose
// account was closed has nothing left that could be corrected.
func (l *ledger) amend(id string, cost float64, charged int64) {
	if !(math.Abs(cost) <= 2*maxCost) {
		return // not a ticket of ours
	}
	if a := l.known(id); a != nil {
		a.amend(l, cost, charged)
	}
}

// cancel takes back what a request was charged with, and what was expected of its
// session if it was placed.
func (l *ledger) cancel(id string, t affinity.Ticket) {
	l.amend(id, -t.Cost-l.fee, t.Time)
	if a := l.known(id); a != nil && t.Memo[0]&placedBit != 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.coming = max(0, a.coming-l.rest.get())
	}
}

// A mean is a decaying one. Of observations made at the same time some are
// lost, which matters to nobody.
type mean struct{ bits atomic.Uint64 }

// memory is how many of the last observations make up a mean, about.
const memory = 50

func (m *mean) get() float64  { return math.Float64frombits(m.bits.Load()) }
func (m *mean) set(x float64) { m.bits.Store(math.Float64bits(x)) }

func (m *mean) observe(x float64) {
	old := m.bits.Load()
	mean := math.Float64frombits(old)
	m.bits.CompareAndSwap(old, math.Float64bits(mean+(x-mean)/memory))
}
