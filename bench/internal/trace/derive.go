package trace

import (
	"slices"
	"time"
)

// What is derived from a trace shares nothing with it that anybody writes to.

// Keep returns the part of t that belongs to some of its sessions. They are
// numbered anew, and so are the nodes.
func (t *Trace) Keep(keep func(session int) bool) *Trace {
	nodes := 1
	for i := range t.Requests {
		nodes += t.Requests[i].New
	}
	parent := make([]int, nodes)
	number := make([]int, nodes) // of a node in what is kept; 0 if it has none yet
	sessions := filled(t.Sessions())
	kept := *t
	kept.Requests = nil
	next, known, count := 1, 1, 0
	for _, r := range t.Requests {
		end := r.Attach
		for range r.New {
			parent[next] = end
			end = next
			next++
		}
		if !keep(r.Session) {
			continue
		}
		if sessions[r.Session] < 0 {
			sessions[r.Session] = count
			count++
		}
		r.Session = sessions[r.Session]
		if r.Parent >= 0 {
			r.Parent = sessions[r.Parent] // -1 if that is not kept
		}
		r.New = 0
		for n := end; n > 0 && number[n] == 0; n = parent[n] {
			r.New++
		}
		for n, i := end, r.New; i > 0; n, i = parent[n], i-1 {
			number[n] = known + i - 1
			r.Attach = parent[n]
		}
		known += r.New
		r.Attach = number[r.Attach]
		if r.New == 0 {
			r.Attach = number[end]
		}
		kept.Requests = append(kept.Requests, r)
	}
	return &kept
}

func filled(n int) []int { return slices.Repeat([]int{-1}, n) }

// Users returns, by session, a number for all sessions whose prompts begin with
// the same block.
func (t *Trace) Users() []int {
	nodes := 1
	for i := range t.Requests {
		nodes += t.Requests[i].New
	}
	first := make([]int, nodes) // the node below the root
	users := filled(t.Sessions())
	next := 1
	for i := range t.Requests {
		r := &t.Requests[i]
		for n := next; n < next+r.New; n++ {
			if first[n] = first[r.Attach]; r.Attach == 0 {
				first[n] = next
			}
		}
		next += r.New
		if users[r.Session] < 0 {
			if users[r.Session] = first[r.Attach]; r.Attach == 0 && r.New > 0 {
				users[r.Session] = first[next-1]
			}
		}
	}
	return users
}

// Stretch returns t with all times but those that answers take multiplied.
func (t *Trace) Stretch(by float64) *Trace {
	s := *t
	s.Requests = slices.Clone(t.Requests)
	for i := range s.Requests {
		r := &s.Requests[i]
		r.Time = time.Duration(float64(r.Time) * by).Truncate(time.Millisecond)
	}
	return &s
}

// Relative returns t with times that count from the first request of each
// session.
func (t *Trace) Relative() *Trace {
	s := *t
	s.Absolute = false
	s.Requests = slices.Clone(t.Requests)
	starts := make(map[int]time.Duration)
	for i := range s.Requests {
		r := &s.Requests[i]
		if _, ok := starts[r.Session]; !ok {
			starts[r.Session] = r.Time
		}
		r.Time = max(0, r.Time-starts[r.Session])
	}
	return &s
}

// Mix returns a trace of all sessions of several, each of which counts its times
// from the start of its sessions. Their prompts have nothing in common. Nodes are
// of the size of the smallest, of which the others must be multiples.
func Mix(name string, traces ...*Trace) *Trace {
	m := &Trace{Name: name, Block: traces[0].Block}
	for _, t := range traces {
		m.Block = min(m.Block, t.Block)
	}
	nodes, sessions := 0, 0
	for _, t := range traces {
		split := t.Block / m.Block
		next := nodes
		for _, r := range t.Requests {
			next += r.New * split
			if r.Attach > 0 {
				r.Attach = nodes + r.Attach*split // the last part of that node
			}
			r.New *= split
			r.Session += sessions
			if r.Parent >= 0 {
				r.Parent += sessions
			}
			m.Requests = append(m.Requests, r)
		}
		nodes, sessions = next, sessions+t.Sessions()
	}
	return m
}
