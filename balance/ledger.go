package balance

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// A ledger keeps an account of the work of every target: a sum of costs that
// decays. What a request costs is known when it ends; until then it is charged
// with an estimate, in the light of the requests before it.
type ledger struct {
	halfLife time.Duration
	cost     func(affinity.Usage) float64
	fee      float64 // for every request, whatever its size
	start    time.Time

	mu       sync.Mutex // for changes of accounts
	accounts atomic.Pointer[map[string]*account]
	mean     mean // the mean load of all accounts,
	meanAt   atomic.Int64

	// What requests are like, as decaying means.
	perByte  mean // tokens of a prompt to a byte of a request
	coldMiss mean // share of a prompt that is read anew, where the session is new,
	warmMiss mean // and where it stays
	output   mean // tokens of an answer
}

func newLedger(halfLife time.Duration, cost func(affinity.Usage) float64, fee float64) *ledger {
	if halfLife <= 0 {
		halfLife = DefaultHalfLife
	}
	if cost == nil {
		cost = affinity.Usage.Cost
	}
	l := &ledger{halfLife: halfLife, cost: cost, fee: fee, start: time.Now()}
	l.accounts.Store(&map[string]*account{})
	l.perByte.set(0.25)
	l.coldMiss.set(0.9)
	l.warmMiss.set(0.1)
	l.output.set(400)
	return l
}

// now is the age of the ledger in nanoseconds.
func (l *ledger) now() int64 { return int64(time.Since(l.start)) }

// decay is what is left of a load after that time.
func (l *ledger) decay(ns int64) float64 {
	return math.Exp2(-float64(max(ns, 0)) / float64(l.halfLife))
}

// maxAccounts is how many targets a ledger remembers that have nothing to their
// account any more.
const maxAccounts = 1024

// account returns the account of id. One that is opened starts with the given
// load.
func (l *ledger) account(id string, load float64, now int64) *account {
	if a := (*l.accounts.Load())[id]; a != nil {
		return a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := *l.accounts.Load()
	if a := old[id]; a != nil {
		return a
	}
	accounts := make(map[string]*account, len(old)+1)
	for id, a := range old {
		if len(old) < maxAccounts || a.load(l, now) >= 1 {
			accounts[id] = a
		}
	}
	a := &account{sum: load, at: now}
	a.weight.set(1)
	accounts[id] = a
	l.accounts.Store(&accounts)
	return a
}

// share is the load of a relative to the mean of all targets, per weight.
func (l *ledger) share(id string, now int64) float64 {
	if now-l.meanAt.Load() > int64(time.Second) || l.meanAt.Load() == 0 {
		sum, n := 0.0, 0
		for _, a := range *l.accounts.Load() {
			sum += a.load(l, now) / a.weight.get()
			n++
		}
		l.mean.set(sum / max(float64(n), 1))
		l.meanAt.Store(max(now, 1))
	}
	a := (*l.accounts.Load())[id]
	fair := l.mean.get()
	if a == nil || fair <= 0 {
		return 0
	}
	return a.load(l, now) / a.weight.get() / fair
}

// An account is the work that a target has been given.
type account struct {
	mu     sync.Mutex
	sum    float64 // at the instant at
	at     int64
	weight mean // as last seen
	held   belief
}

func (a *account) load(l *ledger, now int64) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sum * l.decay(now-a.at)
}

// add adds a cost, which may be negative if more was charged before.
func (a *account) add(l *ledger, cost float64, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now > a.at {
		a.sum *= l.decay(now - a.at)
		a.at = now
	}
	a.sum = max(0, a.sum+cost)
}

// size is how long the prompt of a request is, in bytes.
func size(req *extract.Request) int {
	if req == nil {
		return 0
	}
	return len(req.Body)
}

// miss estimates how many tokens of a prompt of that many have to be read anew.
func (l *ledger) miss(tokens float64, warm bool) float64 {
	if warm {
		return tokens * l.warmMiss.get()
	}
	return tokens * l.coldMiss.get()
}

// charge charges a for a request of that many bytes, and tokens, of which it
// will have to read so many anew.
func (l *ledger) charge(a *account, bytes int, tokens, miss float64, warm bool, now int64) affinity.Ticket {
	estimate := affinity.Usage{Uncached: int(miss), Cached: int(tokens - miss), Output: int(l.output.get())}
	cost := l.price(estimate)
	a.add(l, cost+l.fee, now)
	t := affinity.Ticket{Time: now, Cost: cost}
	t.Memo[0] = uint64(bytes) << 1
	if warm {
		t.Memo[0] |= 1
	}
	return t
}

// price is the cost of u, or that of nothing if it makes no sense.
func (l *ledger) price(u affinity.Usage) float64 {
	if cost := l.cost(u); cost > 0 && cost < maxCost {
		return cost
	}
	return 0
}

// Usage and cost beyond all reason are not taken in.
const (
	maxTokens = 1 << 30
	maxCost   = 1 << 40
)

// settle puts the real cost in place of the estimate. It reports whether the
// usage is one to learn from.
func (l *ledger) settle(id string, t affinity.Ticket, o affinity.Outcome) bool {
	a := (*l.accounts.Load())[id]
	if a == nil {
		return false // forgotten, since it had nothing to its account
	}
	now := l.now()
	u := o.Usage
	known := u != affinity.Usage{} && min(u.Uncached, u.Cached, u.Output) >= 0 && max(u.Uncached, u.Cached, u.Output) <= maxTokens
	switch {
	case known:
		a.add(l, (l.price(u)-t.Cost)*l.decay(now-t.Time), now)
	case o.Result == affinity.Neutral:
		a.add(l, -(t.Cost+l.fee)*l.decay(now-t.Time), now)
	}
	if !known || o.Result != affinity.Served {
		return false
	}
	bytes, warm := t.Memo[0]>>1, t.Memo[0]&1 != 0
	prompt := float64(u.Uncached + u.Cached)
	if prompt > 0 {
		if bytes >= 1024 {
			l.perByte.observe(min(prompt/float64(bytes), 1))
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

// A mean is a decaying one. Of observations made at the same time some are
// lost, which matters to nobody.
type mean struct{ bits atomic.Uint64 }

// memory is how many of the last observations make up a mean, about.
const memory = 50

func (m *mean) get() float64  { return math.Float64frombits(m.bits.Load()) }
func (m *mean) set(x float64) { m.bits.Store(math.Float64bits(x)) }

func (m *mean) observe(x float64) {
	old := m.get()
	m.bits.CompareAndSwap(math.Float64bits(old), math.Float64bits(old+(x-old)/memory))
}
