package balance

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity"
)

// A ledger keeps an account of the work of every target: the sum of what its
// requests cost, which decays by half in every half-life. What a request costs is
// known when it ends. Until then it is charged with an estimate, in the light of
// the requests before it.
//
// Two words recur. Work is such a sum, in the unit of costs. Load is work divided
// by the weight of the target, which is what targets are compared by.
//
// A request is either placed, which means that the balancer chose its target for
// a session that stays there, or it follows its session to where that is. The
// latter's costs are follow-ups of earlier placements: see placement.
//
// All methods may be called by many goroutines at once, except where they say
// otherwise. Times are nanoseconds of now.
type ledger struct {
	halfLife float64 // in nanoseconds
	cost     func(affinity.Usage) float64
	unit     float64 // the cost of an uncached token of a prompt
	fee      float64 // what every request costs in addition to its tokens
	start    time.Time
	pools    bool // whether accounts have pools: overloaded needs them

	accounts atomic.Pointer[accounts]
	mu       sync.Mutex // serialises the opening and closing of accounts
	open     int        // the number of accounts, guarded by mu

	estimates

	// What sessions cost after the request that placed them, and where that is
	// worked out from.
	followUp      mean  // cost of the follow-ups of one placement
	sincePlacing  tally // of the follow-ups since the last placement
	lastPlacement int64 // guarded by the lock of placements; 0 if there was none
}

// perRequest is what a request is charged with in addition to its tokens, in
// tokens. It keeps bursts of short prompts from going to one target.
const perRequest = 2000

func newLedger(halfLife time.Duration, cost func(affinity.Usage) float64) *ledger {
	if halfLife <= 0 {
		halfLife = defaultHalfLife
	}
	if cost == nil {
		cost = affinity.Usage.Cost
	}
	l := &ledger{halfLife: float64(halfLife), cost: cost, start: time.Now()}
	l.estimates.init()
	t := make(accounts, 16)
	l.accounts.Store(&t)
	l.unit = l.priceOfToken()
	l.fee = perRequest * l.unit
	return l
}

// priceOfToken returns the cost of an uncached token. Where few of them cost nothing, since
// costs are rounded or only other tokens are paid for, it is what goes with the cost of many,
// or of the others at the usual ratio. Where nothing costs anything, it is 1.
func (l *ledger) priceOfToken() float64 {
	for _, u := range [...]affinity.Usage{{Uncached: 1000}, {Uncached: maxPrompt}, {Output: maxPrompt}, {Cached: maxPrompt}} {
		if cost, _ := l.price(u); cost > 0 {
			return cost / u.Cost()
		}
	}
	return 1
}

// now returns the age of the ledger in nanoseconds, which is never 0.
func (l *ledger) now() int64 { return int64(time.Since(l.start)) + 1 }

// decay returns the share of a sum that is left after ns nanoseconds; all of it if
// that is negative.
func (l *ledger) decay(ns int64) float64 {
	if ns <= 0 {
		return 1
	}
	x := float64(ns) / l.halfLife * math.Ln2
	if x < 1.0/64 {
		return 1 - x + x*x/2 // exact to a millionth, and most are that short
	}
	return math.Exp(-x)
}

// maxCost is the largest cost of one request that is believed.
const maxCost = 1e15

// price returns what u costs, or false if that makes no sense.
func (l *ledger) price(u affinity.Usage) (cost float64, ok bool) {
	if cost = l.cost(u); cost >= 0 && cost <= maxCost {
		return cost, true
	}
	return 0, false
}

// estimate returns what a prompt of so many tokens is likely to cost if miss of
// them are uncached.
func (l *ledger) estimate(tokens, miss float64) float64 {
	cost, _ := l.price(affinity.Usage{Uncached: int(miss), Cached: int(tokens - miss), Output: int(l.output.get())})
	return cost
}

// expectedDecay is how many times as fast as work the expected cost of sessions
// decays: nobody says when a session has ended.
const expectedDecay = 8

// placement begins a placement. It returns what the session is likely to cost
// after this request, which will be expected of the target from now on: otherwise
// all sessions that start at the same time would go to the same few targets. It is
// 0 where every request is placed. Follow-ups before the first placement are of
// sessions that others placed, and so tell nothing.
//
// Placements take turns: the caller holds a lock.
func (l *ledger) placement(now int64) (followUp float64) {
	cost, last := l.sincePlacing.take(), l.lastPlacement
	l.lastPlacement = now
	if last == 0 {
		return 0
	}
	// After a long time without placements, only as much of the follow-ups counts
	// as came in while an expectation lives: the work of a night in which nobody
	// was placed is not that of one session.
	lives := l.halfLife / expectedDecay / math.Ln2
	l.followUp.observe(cost * min(1, lives/float64(now-last)))
	return l.followUp.get()
}

// notPlaced stands for the follow-up of a request that was not placed.
const notPlaced = -1

// charge charges a for a request that costs so much. If the request was placed,
// followUp is what placement returned, and is expected of a from now on. If it is
// notPlaced, the request is a follow-up: its cost is no longer to be expected. It
// returns how much more is expected of a.
func (l *ledger) charge(a *account, cost, followUp float64, now int64) (expected float64) {
	if followUp == notPlaced {
		l.sincePlacing.add(cost)
		followUp = -cost
	}
	return l.add(a, cost+l.fee, followUp, now)
}

// add adds to the work of a, and to what is expected of it, and returns how much more
// that is. If a was closed meanwhile, it adds to the account that takes its place.
func (l *ledger) add(a *account, cost, expected float64, now int64) float64 {
	for {
		if more, ok := a.add(l, cost, expected, now); ok {
			return more
		}
		a = l.openAccount(a.id)
	}
}

// settle puts the cost that o reports in place of the estimate that the target was
// charged with, and learns from it. A failure does not make a request cheaper. It
// reports whether the usage tells something about requests that are served.
func (l *ledger) settle(id string, t affinity.Ticket, o affinity.Outcome) bool {
	if !valid(o.Usage) {
		return false
	}
	failed := o.Result == affinity.TransientFailure || o.Result == affinity.TerminalFailure
	if cost, ok := l.price(o.Usage); ok && !(failed && cost < t.Cost) {
		l.amend(id, cost-t.Cost, 0, t.Time)
	}
	if o.Result != affinity.Served {
		return false
	}
	m := memo(t.Memo[0])
	l.observe(m.bytes(), m.warm(), o.Usage)
	return true
}

// amend corrects what a target was charged with at an earlier time, and what is
// expected of it since. Where the account was closed meanwhile, next to nothing was left of
// that, unless there were more than maxAccounts, so it does not matter that nothing is
// corrected, or another account of the target.
func (l *ledger) amend(id string, cost, expected float64, charged int64) {
	if !(math.Abs(cost) <= 2*maxCost && math.Abs(expected) <= 2*maxCost) {
		return // the ticket is not ours
	}
	if a := l.known(id); a != nil {
		a.amend(l, cost, expected, charged)
	}
}

// cancel takes back what a request was charged with, and how much more was expected
// because of it. What it has told of follow-ups stays, since so few are canceled.
func (l *ledger) cancel(id string, t affinity.Ticket) {
	l.amend(id, -t.Cost-l.fee, -expectedOf(t), t.Time)
}

// expectedShift is where in Ticket.Memo[1] it says how much more was expected of the
// target: the upper half of a float32, which is exact to half a percent.
const expectedShift = 48

func expectedMemo(expected float64) uint64 {
	return uint64((math.Float32bits(float32(expected))+1<<15)>>16) << expectedShift
}

func expectedOf(t affinity.Ticket) float64 {
	return float64(math.Float32frombits(uint32(t.Memo[1]>>expectedShift) << 16))
}

// A memo is what a ticket says of its request, in the low half of Ticket.Memo[0].
type memo uint64

// newMemo says how many bytes the request has, and whether most of it should be in the
// target's cache.
func newMemo(bytes int, warm bool) memo {
	m := memo(min(bytes, mostBytes)) << 1
	if warm {
		m |= warmBit
	}
	return m
}

// mostBytes is the largest number of bytes that fits into a ticket.
const mostBytes = 1<<30 - 1

const warmBit memo = 1

func (m memo) bytes() int { return int(m >> 1 & mostBytes) }
func (m memo) warm() bool { return m&warmBit != 0 }
