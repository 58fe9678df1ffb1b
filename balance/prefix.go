package balance

import (
	"context"
	"slices"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// PrefixConfig configures [Prefix]. ID is required; the zero value of every
// other field is a good default.
type PrefixConfig[T any] struct {
	CostConfig[T]

	// Boundaries returns where the prompt of a request may be cut, from its
	// beginning to its end: two prompts that begin alike have the first of their
	// boundaries in common. It is called at least once for every request, but not for
	// a nil one, and what it returns is neither kept nor changed. nil means
	// (*extract.Request).Boundaries.
	Boundaries func(req *extract.Request) []extract.Boundary

	// MinTokens is the number of tokens below which targets do not cache the
	// beginning of a prompt. 0 means 1024, as OpenAI and Anthropic have it; a
	// negative number means that they cache any.
	MinTokens int

	// Capacity is the largest number of boundaries that are remembered, where one
	// that several targets hold counts once for each of them. Those that went
	// unused for longest are forgotten. A session has one for every 4 kB of its
	// prompt and a few more. 0 or less means 1 << 18; less than 2,048 means 2,048, and
	// more than 1 << 28 means 1 << 28.
	//
	// Each takes 64 bytes of memory: 17 MB for 1 << 18, of which 2 MB are taken
	// by the first request.
	Capacity int
}

// Prefix returns a balancer that weighs what a target has in its cache against
// the work that it had lately. It takes the candidate for which the product of two
// numbers is least: the tokens of the prompt that would be uncached there, and the
// load of the target with them. For a session that will stay, the tokens that it is
// likely to cost later are added to the first number, so that load counts for more.
//
// It keeps an index of the beginnings of prompts that targets were sent. So branches of a
// conversation, sub-agents and sessions of the same project find their common beginning,
// clients without a session id find their conversation, and sessions find their way home
// after an outage. But no target attracts more because it holds more: a system prompt
// that all sessions have in common is soon everywhere. Only what many have in common and
// most do not, such as a long document about which much is asked, stays with one target until
// that has several times the load of others. With dozens of targets, set MaxShare if there is
// such a one: then there are copies sooner.
//
// As the fallback of a Selector, it places sessions that are new, that were idle
// for long or whose home is gone; the others stay where they are. With an extractor
// that names no session, such as an empty extract.Chain, it decides for every
// request. That finds a little more in caches, and moves some sessions.
//
// Prefix assumes that a target holds what it was sent, except for the prompt of a request
// that failed there, unless it has served that prompt before, and for a prompt that it is
// still reading: until the request is served or, if nobody says so, for a second and one more
// for every 64 kB. So a burst that begins alike does not all go where the first request went,
// whose prompt is in no cache yet. But report outcomes: otherwise a conversation without a
// session whose turns follow within that time may move.
//
// From the cached tokens in outcomes it learns, for each target, how much of what it holds is
// left after a pause. A target that has never reported any teaches nothing: it may have a
// cache and not say so.
//
// All that [LeastCost] says about cost, absence and concurrency holds here too,
// except that every request takes the lock of the index, once when it is sent and
// once when it ends, and that its body is read, even if its session stays where it
// is.
//
// Prefix panics if cfg.ID is nil.
func Prefix[T any](cfg PrefixConfig[T]) affinity.Balancer[T] {
	if cfg.ID == nil {
		panic("balance: Prefix needs PrefixConfig.ID")
	}
	if cfg.Boundaries == nil {
		cfg.Boundaries = (*extract.Request).Boundaries
	}
	if cfg.MinTokens == 0 {
		cfg.MinTokens = defaultMinTokens
	}
	if cfg.Capacity <= 0 {
		cfg.Capacity = defaultCapacity
	}
	return &prefix[T]{costs: newCosts(cfg.CostConfig), boundaries: cfg.Boundaries, minTokens: float64(cfg.MinTokens), index: newHoldings(cfg.Capacity)}
}

// defaultMinTokens and defaultCapacity are those of a PrefixConfig.
const (
	defaultMinTokens = 1024
	defaultCapacity  = 1 << 18
)

// What scores are made of, in addition to what is known of a prompt and a target:
// see Place.
const (
	// leastMiss and leastLoad, in tokens, keep either factor of a score from being
	// nothing, whatever the other one is.
	leastMiss = 1000
	leastLoad = 1000

	// stay is the part of a session's likely later cost that counts when it is
	// placed. The session stays, so what it saves once is weighed against what it
	// will cost there: otherwise targets that hold what most sessions begin with
	// would get most of them. Only a part counts, since others can still be placed
	// elsewhere later.
	stay = 0.4
)

type prefix[T any] struct {
	costs[T]
	boundaries func(req *extract.Request) []extract.Boundary
	minTokens  float64
	all        belief   // of all targets together
	index      holdings // its lock serialises placements, too
}

// Pick implements affinity.Picker.
func (b *prefix[T]) Pick(ctx context.Context, req *extract.Request, candidates []T) (T, error) {
	target, _, err := b.Place(ctx, req, candidates)
	return target, err
}

// Place implements affinity.Balancer. The score of a candidate, of which the least
// wins, is
//
//	(uncached tokens + likely later tokens) x (load + expected load + cost of the uncached tokens by weight)
//
// or, for a request without boundaries, the load with the request, as LeastCost
// has it.
func (b *prefix[T]) Place(_ context.Context, req *extract.Request, candidates []T) (target T, t affinity.Ticket, err error) {
	if len(candidates) == 0 {
		return target, t, affinity.ErrNoCandidates
	}
	r := b.roster(candidates)
	defer b.rosters.put(r)
	p := b.prompt(req)
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	now := b.ledger.now()
	b.ledger.weigh(r, now)
	b.survey(&p, r, now)
	bound := b.bound(r)
	cost := b.expect(req, false)
	followUp := b.ledger.placement(now)
	later := followUp * stay / b.ledger.unit
	var best choice
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.load > bound {
			continue
		}
		if len(p.cuts) == 0 {
			best.offer(i, c.load+c.expected+half(cost+followUp)/c.weight)
			continue
		}
		miss := b.miss(&p, c.held, c.account)
		// How much more of the session a smaller target would feel than the largest
		// one does: nothing where all weights are the same.
		small := half(followUp) * (1/c.weight - 1/r.mostWeight)
		best.offer(i, (miss+leastMiss+later)*(c.load+c.expected+small+(miss+leastLoad)*b.ledger.unit/c.weight))
	}
	c := &r.candidates[best.i]
	return candidates[c.at], b.send(c.account, &p, req, followUp, false, now), nil
}

// Charge implements affinity.Balancer.
func (b *prefix[T]) Charge(req *extract.Request, id string, warm bool) affinity.Ticket {
	p := b.prompt(req)
	a := b.ledger.account(id)
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	return b.send(a, &p, req, notPlaced, warm, b.ledger.now())
}

// send charges a target for a request, and enters that it was sent the prompt. To the ticket
// of charge it adds the number of the last entry, above the memo, and what the target was
// believed to hold, below what is expected. For followUp see ledger.charge. The index is
// locked by the caller.
func (b *prefix[T]) send(a *account, p *prompt, req *extract.Request, followUp float64, warm bool, now int64) affinity.Ticket {
	if len(p.cuts) == 0 {
		return b.charge(a, size(req), b.expect(req, warm), followUp, warm, now)
	}
	var held part
	tick := b.index.tick(now)
	last := b.index.enter(p.cuts, a.target, tick, func(cut extract.Boundary, at int64) {
		if at != 0 {
			held.include(cut, now-at)
		}
	})
	cost := b.ledger.estimate(p.tokens, b.miss(p, held, a))
	t := b.charge(a, p.bytes, cost, followUp, warm, now)
	t.Time = tick
	t.Memo[0] |= uint64(last) << 32
	t.Memo[1] |= held.pack()
	return t
}

// lastEntry returns the number of the last entry of the prompt that send has
// entered, 0 if it has entered none.
func lastEntry(t affinity.Ticket) int32 { return int32(t.Memo[0] >> 32) }

// Settle implements affinity.Balancer.
func (b *prefix[T]) Settle(id string, t affinity.Ticket, o affinity.Outcome) {
	learned := b.ledger.settle(id, t, o)
	if o.Result != affinity.Neutral {
		b.ended(id, t, o.Result == affinity.Served)
	}
	if learned {
		b.learn(id, unpack(t.Memo[1]), memo(t.Memo[0]).bytes(), o.Usage)
	}
}

// Cancel implements affinity.Balancer.
func (b *prefix[T]) Cancel(id string, t affinity.Ticket) {
	b.ended(id, t, false)
	b.ledger.cancel(id, t)
}

// ended enters whether a target has served the prompt that it was sent.
func (b *prefix[T]) ended(id string, t affinity.Ticket, served bool) {
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	b.index.end(lastEntry(t), hashOf(id), t.Time, served)
}

// A prompt is what is known of the prompt of a request. One without cuts says
// nothing but that there are none.
type prompt struct {
	cuts    []extract.Boundary
	bytes   int
	tokens  float64 // an estimate, and so is
	perByte float64 // how many of them a byte has
}

// prompt returns what is known of the prompt of req. It reads its body.
func (b *prefix[T]) prompt(req *extract.Request) (p prompt) {
	if req == nil {
		return p
	}
	if p.cuts = b.boundaries(req); len(p.cuts) > 0 {
		p.bytes = max(p.cuts[len(p.cuts)-1].Bytes, 0)
		p.tokens = b.ledger.tokens(p.bytes)
		p.perByte = p.tokens / float64(max(p.bytes, 1))
	}
	return p
}

// survey finds out what the candidates hold of the prompt. The index is locked by the caller.
// It goes from the whole prompt back to its beginning, until every candidate is known to have been
// sent so much of it just now: mostly, what all prompts begin with. It looks through the
// holders of each boundary, of which there are mostly few or, where those are many that have gone
// or are known, for each of the other candidates among them.
func (b *prefix[T]) survey(p *prompt, r *roster, now int64) {
	r.indexTargets()
	left := len(r.candidates)
	include := func(c *candidate, cut extract.Boundary, e *record) {
		if c.held.sure > 0 {
			return
		}
		if at := e.there(cut.Bytes, now); at != 0 {
			if c.held.include(cut, now-at); c.held.sure > 0 {
				left--
			}
		}
	}
	for _, cut := range slices.Backward(p.cuts) {
		if left == 0 {
			return
		}
		all := b.index.visit(cut.Hash, 2*left+64, func(e *record) {
			if c := r.find(e.target); c != nil {
				include(c, cut, e)
			}
		})
		for i := 0; !all && i < len(r.candidates); i++ {
			c := &r.candidates[i]
			if c.held.sure > 0 {
				continue
			}
			if e := b.index.find(cut.Hash, c.account.target); e != 0 {
				include(c, cut, b.index.record(e))
			}
		}
	}
}

// miss estimates how many tokens of the prompt are uncached at a target that holds
// so much of it.
func (b *prefix[T]) miss(p *prompt, held part, a *account) float64 {
	hit := func(bytes, kind int) float64 {
		// The tokens are an estimate, so those that are just enough may look like
		// too few.
		tokens := float64(bytes) * p.perByte
		if tokens < 0.9*b.minTokens {
			return 0
		}
		return tokens * a.keeps.share(kind, &b.all)
	}
	return max(0, p.tokens-max(hit(held.sure, 0), hit(held.likely, held.kind)))
}

// learn compares what a target was believed to hold of a prompt of so many bytes
// with what it had in its cache, by what it reports.
func (b *prefix[T]) learn(id string, held part, bytes int, u affinity.Usage) {
	a := b.ledger.known(id)
	if bytes <= 0 || a == nil {
		return
	}
	if u.Cached > 0 {
		a.reports.Store(true)
	} else if !a.reports.Load() {
		return // it may have a cache and not say so
	}
	perByte := float64(u.Uncached+u.Cached) / float64(bytes)
	likely, sure := float64(held.likely)*perByte, 0.0
	if held.kind > 0 {
		sure = float64(held.sure) * perByte
	}
	if likely-sure < max(b.minTokens, 1) {
		return // too little to tell
	}
	share := min(max((float64(u.Cached)-sure)/(likely-sure), 0), 1)
	b.all.observe(held.kind, share)
	a.keeps.observe(held.kind, share)
}

// A part is how much of a prompt a target was sent before, in bytes from its
// beginning.
type part struct {
	sure   int // after a pause of kind 0
	likely int // after a longer one; it is at least sure
	kind   int // of the pause after which the target was sent the likely part
}

// include takes in that the target was sent the prompt up to a boundary, so many
// nanoseconds ago. Boundaries may come in any order.
func (h *part) include(cut extract.Boundary, ago int64) {
	kind := pauseKind(ago)
	if kind == 0 {
		h.sure = max(h.sure, cut.Bytes)
	}
	if kind < pauseKinds && (cut.Bytes > h.likely || cut.Bytes == h.likely && kind < h.kind) {
		h.likely, h.kind = cut.Bytes, kind
	}
}

// partBits and partUnit are how many bits each of the numbers of bytes has in a packed
// part, and how many bytes they count as one: exact enough, and it leaves room for
// expectedMemo.
const (
	partBits = 23
	partUnit = (mostBytes + 1) >> partBits
)

// pack returns a part as a word of 48 bits that unpack turns back, if only to the
// partUnit. The numbers of bytes are taken to be at most mostBytes.
func (h part) pack() uint64 {
	return uint64(h.kind)<<(2*partBits) | uint64(min(h.likely, mostBytes)/partUnit)<<partBits | uint64(min(h.sure, mostBytes)/partUnit)
}

// unpack returns the part that was packed into the low 48 bits of a word. Whatever the
// word is, the part's kind is that of a pause.
func unpack(word uint64) part {
	bytes := func(word uint64) int { return int(word%(1<<partBits)) * partUnit }
	return part{sure: bytes(word), likely: bytes(word >> partBits), kind: min(int(word>>(2*partBits)&3), pauseKinds-1)}
}
