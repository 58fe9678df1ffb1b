package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Generate makes up a trace that is like the real one of that name, of those in
// [Names]. The same seed gives the same trace.
//
// How it was fitted: what can be counted in the real trace (requests a session,
// tokens of the first prompt, tokens added by a turn, time between requests,
// length of answers, where prompts part) is drawn from the quantiles found
// there, independently of each other; sessions differ in their pace, since the
// gaps of one session are more alike than those of two. What makes a session
// move through the trie are a few rates counted in the same place: how often a
// request goes on from the last one, goes back to an older one, or begins anew
// from a prefix, and how much of its first prompt a session shares with an
// earlier one of the same user. TestFit compares the outcome.
func Generate(name string, seed uint64) (*Trace, error) {
	m, ok := models[name]
	if !ok {
		return nil, fmt.Errorf("trace: there is no generator for %q, only for %q", name, slices.Concat(Names(), Shapes()))
	}
	g := &generator{model: m, r: rand.New(rand.NewPCG(seed, 0x9e37)), next: 1, ends: make([][]line, m.users), t: &Trace{Name: name, Block: m.block, Absolute: m.span > 0}}
	for range m.sessions {
		g.session(-1, 0, nil)
	}
	for i := range g.t.Requests {
		r := &g.t.Requests[i]
		r.Time = r.Time.Truncate(time.Millisecond)
		r.Took = r.Took.Truncate(time.Millisecond)
	}
	return g.t, nil
}

// Names returns the names that [Generate] knows.
func Names() []string { return []string{"cc6", "mooncake_conv", "tau_airline"} }

// Shapes returns the names of further ones that [Generate] knows. They were
// fitted to nothing: each is traffic of another extreme.
func Shapes() []string { return []string{"chats", "manual", "swarms"} }

// levels are the shares of values that lie below the entries of a quantiles.
var levels = [...]float64{0, .05, .1, .25, .5, .75, .9, .95, .99, 1}

// quantiles are a distribution: what lies between two of them is spread evenly
// on a logarithmic scale.
type quantiles [len(levels)]float64

// at returns the value that a share u of all lie below.
func (q *quantiles) at(u float64) float64 {
	i := 1
	for i < len(levels)-1 && levels[i] < u {
		i++
	}
	f := (u - levels[i-1]) / (levels[i] - levels[i-1])
	lo, hi := math.Log(q[i-1]+1), math.Log(q[i]+1)
	return math.Round((math.Exp(lo+f*(hi-lo))-1)*1000) / 1000 // so that an entry comes out as it is
}

// model is what a trace was measured to be like. Lengths are in tokens, times
// in seconds.
type model struct {
	block    int
	partial  bool          // a block that is not full is one too
	span     time.Duration // of a trace with absolute times
	sessions int

	turns, first, grow, gap, output quantiles

	perToken, overhead float64 // how long an answer takes
	pace               float64 // deviation of a session's mean gap, on a logarithmic scale

	// New sessions belong to one of so many users, whose shares fall by rank to
	// the power of skew, and share the beginning with an earlier session.
	users  int
	skew   float64
	shared quantiles
	alike  float64 // how often a session shares as its first prompt is long

	// The rest is for agents. Of the requests that are not their session's
	// first, back go on from an older request, fork start anew at the depth
	// forkAt to become forkTo long. A prompt longer than the window is forked.
	back, fork     float64
	ago            quantiles
	backGap        quantiles
	backNew        quantiles
	forkAt, forkTo quantiles
	forkGap        quantiles
	window         quantiles

	// So many sessions start others.
	parents         float64
	children        int
	subTurns, subIn quantiles
}

var models = map[string]*model{
	// Claude Code: a person and an agent at work for an hour.
	"cc6": {
		block: 64, sessions: 454,
		turns:    quantiles{3, 5, 6, 14, 46, 85, 133, 163, 212, 336},
		first:    quantiles{6697, 11578, 12104, 15413, 19383, 40671, 102088, 136383, 261922, 509308},
		grow:     quantiles{0, 128, 192, 320, 704, 1856, 4672, 7232, 19328, 150000},
		gap:      quantiles{1, 6, 7, 10, 16, 36, 114, 209, 1044, 39808},
		output:   quantiles{0, 92, 109, 141, 214, 399, 804, 1264, 3163, 13736},
		perToken: .020, overhead: 1.2, pace: .55,
		users: 41, skew: .55,
		alike:  .8,
		shared: quantiles{0, 0, 256, 7744, 12608, 15232, 16448, 20224, 135872, 234048},
		back:   .056, ago: quantiles{1, 1, 1, 1, 2, 4, 9, 13, 28, 168},
		backGap: quantiles{0, 0, 0, 1, 2, 5, 25, 83, 537, 3971},
		backNew: quantiles{0, 0, 0, 0, 128, 1856, 6016, 11904, 39104, 81664},
		fork:    .02, forkAt: quantiles{0, 384, 3328, 9920, 14976, 18304, 100864, 142016, 171136, 209536},
		forkTo:  quantiles{3318, 8991, 12522, 32430, 70259, 108938, 141574, 149070, 183516, 334587},
		forkGap: quantiles{0, 0, 0, 10, 92, 568, 2765, 3581, 77622, 929416},
		window:  quantiles{120000, 140000, 150000, 155000, 165000, 180000, 210000, 270000, 450000, 600000},
		parents: .03, children: 3,
		subTurns: quantiles{2, 4, 5, 7, 10, 13, 21, 24, 24, 24},
		subIn:    quantiles{8868, 9018, 10917, 11289, 11714, 13368, 15249, 18252, 18263, 18263},
	},
	// Chat: an hour of a large service. One block is the same for all.
	"mooncake_conv": {
		block: 512, partial: true, span: 3538 * time.Second, sessions: 7373,
		turns:    quantiles{1, 1, 1, 1, 1, 1.6, 2.6, 3.6, 7, 25},
		first:    quantiles{891, 897, 905, 1336, 5264, 13056, 25561, 38538, 89869, 126195},
		grow:     quantiles{0, 25, 74, 279, 486, 800, 2000, 4000, 9000, 50000},
		gap:      quantiles{0, 27, 39, 66, 123, 267, 474, 606, 1458, 3030},
		output:   quantiles{1, 10, 24, 156, 350, 472, 597, 698, 1120, 2000},
		perToken: .020, overhead: .3, pace: .4,
		users: 1, shared: quantiles{512, 512, 512, 512, 512, 512, 512, 512, 512, 512},
		fork: .15, forkAt: quantiles{1024, 1024, 1024, 1536, 3072, 7168, 14336, 24064, 74240, 74240},
		forkTo:  quantiles{1258, 5121, 6923, 10403, 15106, 20977, 30205, 39061, 74735, 96504},
		forkGap: quantiles{3, 36, 45, 75, 120, 252, 534, 702, 1827, 2409},
	},
	// Customer service: a short talk below a system prompt that all share.
	"tau_airline": {
		block: 64, sessions: 200,
		turns:    quantiles{2, 5, 5, 7, 11, 17, 20, 25, 30, 30},
		first:    quantiles{1550, 1554, 1555, 1558, 1562, 1570, 1579, 1583, 1601, 1602},
		grow:     quantiles{25, 46, 56, 84, 135, 221, 278, 324, 779, 2083},
		gap:      quantiles{3.16, 3.2, 3.3, 3.34, 7.1, 20.2, 40.4, 50, 84.5, 126.6},
		output:   quantiles{14, 34, 39, 42, 56, 93, 135, 167, 235, 317},
		perToken: .020, overhead: .5, pace: .3,
		users: 1, shared: quantiles{1536, 1536, 1536, 1536, 1536, 1536, 1536, 1536, 1536, 1536},
	},

	// Small talk: prompts that are hardly long enough for a cache, and differ.
	"chats": {
		block: 64, sessions: 4000,
		turns:    quantiles{1, 1, 1, 1, 2, 4, 7, 10, 20, 40},
		first:    quantiles{20, 40, 60, 120, 300, 900, 2000, 3000, 6000, 12000},
		grow:     quantiles{20, 50, 80, 200, 400, 800, 1200, 1600, 3000, 8000},
		gap:      quantiles{1, 5, 8, 15, 35, 80, 200, 400, 1800, 7200},
		output:   quantiles{5, 20, 40, 100, 250, 500, 800, 1000, 1500, 2000},
		perToken: .020, overhead: .5, pace: .3,
		users: 4000, shared: quantiles{},
	},
	// Questions about one book: all prompts begin with the same 60,000 tokens.
	"manual": {
		block: 64, sessions: 600,
		turns:    quantiles{1, 1, 1, 2, 4, 8, 14, 20, 40, 60},
		first:    quantiles{60100, 60150, 60200, 60300, 60500, 61000, 62000, 64000, 70000, 80000},
		grow:     quantiles{50, 100, 150, 300, 600, 1200, 2000, 3000, 6000, 20000},
		gap:      quantiles{2, 5, 8, 15, 30, 60, 120, 300, 1200, 3600},
		output:   quantiles{10, 40, 80, 150, 300, 500, 800, 1000, 1500, 3000},
		perToken: .020, overhead: 1, pace: .3,
		users: 1, shared: quantiles{60032, 60032, 60032, 60032, 60032, 60032, 60032, 60032, 60032, 60032},
	},
	// Agents that start agents, half of them with all that they know so far.
	"swarms": {
		block: 64, sessions: 120,
		turns:    quantiles{3, 5, 6, 10, 25, 50, 80, 120, 200, 300},
		first:    quantiles{8000, 10000, 12000, 15000, 20000, 40000, 80000, 100000, 150000, 200000},
		grow:     quantiles{0, 128, 192, 320, 704, 1856, 4672, 7232, 19328, 60000},
		gap:      quantiles{1, 3, 4, 6, 10, 20, 60, 120, 600, 3600},
		output:   quantiles{10, 90, 110, 150, 220, 400, 800, 1200, 3000, 8000},
		perToken: .020, overhead: 1.2, pace: .5,
		users: 12, skew: 1,
		alike:  .8,
		shared: quantiles{8000, 8000, 8000, 10000, 15000, 20000, 40000, 80000, 100000, 150000},
		back:   .15, ago: quantiles{1, 1, 1, 2, 4, 8, 16, 24, 48, 100},
		backGap: quantiles{0, 0, 0, 0, 1, 2, 5, 20, 100, 1000},
		backNew: quantiles{0, 0, 64, 128, 512, 2000, 6000, 12000, 40000, 80000},
		fork:    .05, forkAt: quantiles{0, 400, 3000, 10000, 15000, 18000, 60000, 100000, 150000, 180000},
		forkTo:  quantiles{3000, 9000, 12000, 30000, 60000, 90000, 120000, 140000, 160000, 180000},
		forkGap: quantiles{0, 0, 0, 5, 30, 200, 600, 1200, 3600, 7200},
		window:  quantiles{120000, 140000, 150000, 155000, 165000, 180000, 200000, 200000, 200000, 200000},
		parents: .5, children: 6,
		subTurns: quantiles{2, 4, 5, 7, 10, 15, 25, 30, 40, 60},
		subIn:    quantiles{9000, 10000, 11000, 13000, 20000, 40000, 80000, 100000, 120000, 150000},
	},
}

// generator makes one trace.
type generator struct {
	*model
	r     *rand.Rand
	t     *Trace
	next  int      // the next new node
	ends  [][]line // last prompts of sessions by user
	count int      // of sessions
}

// line is the path of a prompt: runs of nodes, each below the one before.
type line struct {
	runs   []nodes
	tokens int
}

type nodes struct{ first, n int }

// cut returns the first blocks of a line, and the last node of them.
func (l line) cut(blocks int) (runs []nodes, last int) {
	for _, r := range l.runs {
		if blocks <= 0 {
			break
		}
		r.n = min(r.n, blocks)
		blocks -= r.n
		runs, last = append(runs, r), r.first+r.n-1
	}
	return runs, last
}

func (l line) blocks() (n int) {
	for _, r := range l.runs {
		n += r.n
	}
	return n
}

func (g *generator) draw(q *quantiles) float64 { return q.at(g.r.Float64()) }

// user draws who starts a session.
func (g *generator) user() int {
	var sum float64
	for u := range g.users {
		sum += math.Pow(float64(u+1), -g.skew)
	}
	x := g.r.Float64() * sum
	for u := range g.users {
		if x -= math.Pow(float64(u+1), -g.skew); x < 0 {
			return u
		}
	}
	return g.users - 1
}

// session adds a session, and those that it starts. If parent is not -1, that
// is the session that starts it, at the given time, from the prompt base.
func (g *generator) session(parent int, at float64, base *line) {
	s := g.count
	g.count++
	turns, rank := g.draw(&g.turns), g.r.Float64()
	prompt := g.first.at(rank)
	user := g.user()
	shared := 0.0
	switch earlier := g.ends[user]; {
	case parent >= 0:
		turns, prompt = g.draw(&g.subTurns), g.draw(&g.subIn)
		shared = g.draw(&g.shared)
	case len(earlier) > 0:
		base = &earlier[g.r.IntN(len(earlier))]
		// The first session of a user shares nothing: that share of the
		// quantiles is taken already. Long prompts share more.
		alone := float64(g.users) / float64(g.sessions)
		u := g.r.Float64()
		if g.r.Float64() < g.alike {
			u = rank
		}
		shared = g.shared.at(alone + (1-alone)*u)
	}
	cur := g.extend(base, int(shared)/g.block, int(prompt))
	window := g.draw(&g.window)
	if window > 0 {
		window = max(window, prompt*1.1)
	}
	pace := math.Exp(g.pace * g.r.NormFloat64())

	first := len(g.t.Requests)
	now := at
	lines := []line{cur}
	g.emit(now, s, parent, cur)
	for range int(math.Round(turns)) - 1 {
		prev := &lines[len(lines)-1]
		grown := prev.tokens + int(g.draw(&g.grow))
		x := g.r.Float64()
		switch {
		case x < g.fork || window > 0 && float64(grown) > window:
			to := g.draw(&g.forkTo)
			if window > 0 {
				to = min(to, 0.8*window)
			}
			cur = g.extend(prev, int(g.draw(&g.forkAt))/g.block, int(to))
			now += g.draw(&g.forkGap)
		case x < g.fork+g.back && len(lines) > 1:
			old := &lines[max(0, len(lines)-1-int(g.draw(&g.ago)))]
			cur = g.extend(old, math.MaxInt, old.tokens+int(g.draw(&g.backNew)))
			now += g.draw(&g.backGap)
		default:
			cur = g.extend(prev, math.MaxInt, grown)
			now += g.append(pace)
		}
		lines = append(lines, cur)
		g.emit(now, s, parent, cur)
	}
	if parent < 0 {
		g.ends[user] = append(g.ends[user], lines[len(lines)-1])
	}
	if g.t.Absolute {
		// So early that it ends before the trace does. One that cannot is
		// sped up.
		span := g.span.Seconds()
		if now > span {
			for i := first; i < len(g.t.Requests); i++ {
				g.t.Requests[i].Time = time.Duration(float64(g.t.Requests[i].Time) * span / now)
			}
			now = span
		}
		start := time.Duration(g.r.Float64() * (span - now) * float64(time.Second))
		for i := first; i < len(g.t.Requests); i++ {
			g.t.Requests[i].Time += start
		}
	}
	if parent < 0 && g.r.Float64() < g.parents {
		for range g.children {
			g.session(s, at+g.r.Float64()*now, &lines[0])
		}
	}
}

// append draws the time until a session goes on. How far sessions differ in
// their pace is taken out of how far their gaps do.
func (g *generator) append(pace float64) float64 {
	median := math.Log(g.gap.at(.5))
	within := math.Sqrt(1 - min(0.5, g.pace*g.pace/1.7))
	return math.Exp(median+within*(math.Log(max(g.draw(&g.gap), 0.01))-median)) * pace
}

// extend makes a prompt of so many tokens that begins with whole blocks of base,
// as many as both have but for the last ones.
func (g *generator) extend(base *line, blocks, tokens int) line {
	total := tokens / g.block
	if g.partial {
		total = (tokens + g.block - 1) / g.block
	}
	l := line{tokens: tokens}
	have := 0
	if base != nil {
		l.runs, _ = base.cut(min(blocks, base.tokens/g.block, tokens/g.block))
		have = l.blocks()
	}
	if total > have {
		l.runs = append(slices.Clip(l.runs), nodes{-1, total - have}) // numbered when it is sent
	}
	return l
}

// emit adds a request. The nodes that are new get their numbers, also in the
// line that the caller has: they share the runs.
func (g *generator) emit(at float64, session, parent int, l line) {
	r := Request{Session: session, Parent: parent, Prompt: l.tokens, Time: time.Duration(at * float64(time.Second))}
	for i := range l.runs {
		run := &l.runs[i]
		if run.first < 0 {
			run.first = g.next
			g.next += run.n
			r.New = run.n
			break
		}
		r.Attach = run.first + run.n - 1
	}
	r.Output = int(g.draw(&g.output))
	took := g.overhead*math.Exp(0.5*g.r.NormFloat64()) + g.perToken*float64(r.Output)
	r.Took = time.Duration(took * float64(time.Second))
	g.t.Requests = append(g.t.Requests, r)
}
