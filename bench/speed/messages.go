package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

const (
	rowValid      = "gjson.ValidBytes"
	rowBoundaries = "affinity, Boundaries"
)

// messages measures bodies that name no session: their messages have to.
func messages(s *session) (result.Group, error) {
	g := result.Group{
		Title: "a conversation known by its messages",
		Notes: []string{
			"Several conversations by turns, so that the processor learns none by heart. affinity reads all texts that people wrote (extract.Trail);",
			"plain hashes the system prompt and the first of them, which tells fewer conversations apart. A pass over memory is bytes.Count.",
		},
	}
	for _, size := range []int{32 << 10, 256 << 10, 2 << 20} {
		var list [][]byte
		for seed := range max(3, min(16, (1<<20)/size)) {
			list = append(list, bodies.Valid(bodies.Agent(size, uint64(seed), "", "", "")))
		}
		race := s.track.Race(bytesOf(size), hashers(list)...)
		g.Races = append(g.Races, race)
		for _, row := range []string{rowOurs, rowDefault} {
			v := result.Verdict{Target: "message hash, " + race.Name, Value: race.Row(row).Speed(), Unit: "GB/s", Limit: 4}
			if row == rowDefault {
				v.Target += ", all of Default"
			}
			g.Verdicts = append(g.Verdicts, v)
		}
	}
	small, large := g.Races[0].Row(rowOurs).Allocs, g.Races[2].Row(rowOurs).Allocs
	g.Verdicts = append(g.Verdicts, result.Verdict{
		Target: "allocated bytes, 2 MB beside 32 kB", Value: result.SpreadOf([]float64{large.Bytes / max(small.Bytes, 1)}), Unit: "x", Limit: 2, AtMost: true,
		Note: fmt.Sprintf("%s bytes in %s objects, beside %s in %s", result.Format(large.Bytes), result.Format(large.Objects), result.Format(small.Bytes), result.Format(small.Objects)),
	})
	return g, nil
}

// hashers are those who name a conversation by its messages, and others who read
// the same bodies for less. They go through the list over and over.
func hashers(list [][]byte) []lap.Contender {
	size := 0
	for _, body := range list {
		size += len(body) / len(list)
	}
	each := func(name string, read func(body []byte) bool) lap.Contender {
		return lap.Contender{Name: name, Size: size, Do: func(n int) {
			for i := range n {
				if !read(list[i%len(list)]) {
					panic(name + ": no")
				}
			}
		}}
	}
	ours := func(name string, e extract.Extractor) lap.Contender {
		req := new(extract.Request)
		return each(name, func(body []byte) bool {
			*req = extract.Request{Body: body}
			_, ok := e.Extract(req)
			return ok
		})
	}
	return []lap.Contender{
		ours(rowOurs, extract.Trail()),
		ours(rowDefault, extract.Default()),
		each(rowPlain, func(body []byte) bool { return plain.Messages(body) != "" }),
		each(rowValid, gjson.ValidBytes),
		each("a pass over memory", func(body []byte) bool { return bytes.Count(body, []byte{'}'}) > 0 }),
	}
}

// hostile measures bodies that are built to hurt, as those see them who can be
// made to read them: the chain that finds a session, and Request.Boundaries, of
// which balance.Prefix makes its index. There is one target for each, for the
// body that takes longest, and its note names the others that miss it.
func hostile(s *session) (result.Group, error) {
	const size = 2 << 20
	const limit = 10 // milliseconds
	g := result.Group{
		Title: "bodies built to hurt, 2 MB each, by the whole chain of extract.Default and by Request.Boundaries",
		Notes: []string{"gjson.ValidBytes, on the same body, finds no session: it only says whether the body is well-formed."},
	}
	track := s.track
	track.Rounds = min(track.Rounds, 11)
	for _, h := range bodies.Hostiles {
		body := h.Body(size)
		chain := extract.Default()
		req := new(extract.Request)
		each := func(name string, read func()) lap.Contender {
			return lap.Contender{Name: name, Do: func(n int) {
				for range n {
					*req = extract.Request{Body: body}
					read()
				}
			}}
		}
		race := track.Race(h.Name,
			each(rowOurs, func() { chain.Extract(req) }),
			each(rowBoundaries, func() { req.Boundaries() }),
			each(rowValid, func() { gjson.ValidBytes(body) }),
		)
		inMillis(&race)
		g.Races = append(g.Races, race)
	}
	g.Verdicts = []result.Verdict{
		worst(g.Races, rowOurs, "the worst hostile body", limit),
		worst(g.Races, rowBoundaries, "the worst hostile body, Boundaries", limit),
	}
	return g, nil
}

// worst holds the largest median of a row, over all races, against a limit in
// milliseconds.
func worst(races []result.Race, row, target string, limit float64) result.Verdict {
	v := result.Verdict{Target: target, Value: result.SpreadOf(nil), Unit: "ms", Limit: limit, AtMost: true}
	var name string
	var above []string
	for _, race := range races {
		x := race.Row(row).Spread()
		if x.Median > limit {
			above = append(above, race.Name)
		}
		if v.Value.N == 0 || x.Median > v.Value.Median {
			v.Value, name = x, race.Name
		}
	}
	v.Note = "2 MB of " + name
	if len(above) > 1 {
		v.Note += fmt.Sprintf("; %d of %d bodies take more than %s: %s", len(above), len(races), result.Format(limit), strings.Join(above, ", "))
	}
	return v
}

// inMillis turns the nanoseconds of a race into milliseconds.
func inMillis(race *result.Race) {
	race.Unit = "ms"
	for _, row := range race.Rows {
		for j := range row.Samples {
			row.Samples[j] /= 1e6
		}
	}
}
