package trace

import (
	"math"
	"slices"
	"time"
)

// A Description tells what a trace is like, in figures that matter to a policy.
type Description struct {
	Requests, Sessions int

	Turns        float64 // mean requests of a session
	MedianTurns  float64
	Prompt       float64 // mean tokens
	MedianPrompt float64
	FirstPrompt  float64 // mean tokens of a session's first prompt
	Output       float64 // mean tokens
	Took         float64 // mean seconds
	MedianGap    float64 // seconds between requests of a session
	LongGaps     float64 // share of gaps above 5 minutes
	Reused       float64 // share of prompt tokens that some earlier prompt had
	SharedFirst  float64 // the same of first prompts: from other sessions
	Groups       int     // different beginnings of first prompts, 4,096 tokens long
	ShrinkShare  float64 // share of turns whose prompt is shorter than the one before
}

// Describe counts what t is like. Tokens are counted as reused in the order of
// the requests in the trace.
func Describe(t *Trace) Description {
	d := Description{Requests: len(t.Requests)}
	tr := t.Trie(4096)
	last := map[int]*Request{}
	turns := map[int]float64{}
	groups := map[int32]bool{}
	seen := make([]bool, tr.Len())
	seen[0] = true
	var prompts, gaps []float64
	var reused, shared, shrunk float64
	for i := range t.Requests {
		r := &t.Requests[i]
		prompts = append(prompts, float64(r.Prompt))
		d.Prompt += float64(r.Prompt)
		d.Output += float64(r.Output)
		d.Took += r.Took.Seconds()
		known := tr.Path[i]
		for !seen[known] {
			seen[known] = true
			known = tr.Parent[known]
		}
		hit := float64(min(tr.Tokens(known), r.Prompt))
		reused += hit
		if l := last[r.Session]; l == nil {
			d.FirstPrompt += float64(r.Prompt)
			shared += hit
			groups[tr.Upto(tr.Path[i], 4096)] = true
		} else {
			gap := (r.Time - l.Time).Seconds()
			gaps = append(gaps, gap)
			if gap > (5 * time.Minute).Seconds() {
				d.LongGaps++
			}
			if r.Prompt < l.Prompt {
				shrunk++
			}
		}
		last[r.Session] = r
		turns[r.Session]++
	}
	n, sessions := float64(len(t.Requests)), float64(len(turns))
	var perSession []float64
	for _, n := range turns {
		perSession = append(perSession, n)
	}
	d.Sessions, d.Groups = len(turns), len(groups)
	d.Turns, d.MedianTurns = n/sessions, median(perSession)
	d.Reused, d.SharedFirst = reused/d.Prompt, shared/d.FirstPrompt
	d.Prompt, d.Output, d.Took, d.FirstPrompt = d.Prompt/n, d.Output/n, d.Took/n, d.FirstPrompt/sessions
	d.MedianPrompt, d.MedianGap = median(prompts), median(gaps)
	d.LongGaps /= float64(len(gaps))
	d.ShrinkShare = shrunk / float64(len(gaps))
	return d
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[len(v)/2]
}
