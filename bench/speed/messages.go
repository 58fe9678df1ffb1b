package main

import (
	"bytes"
	"fmt"

	"github.com/tidwall/gjson"

	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

const rowValid = "gjson.ValidBytes"

// messages: a body that names no session.
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

func hashers(list [][]byte) []lap.Contender {
	size := 0
	for _, body := range list {
		size += len(body) / len(list)
	}
	ours := func(name string, e extract.Extractor) lap.Contender {
		req := new(extract.Request)
		return lap.Contender{Name: name, Size: size, Do: func(n int) {
			for i := range n {
				*req = extract.Request{Body: list[i%len(list)]}
				if _, ok := e.Extract(req); !ok {
					panic("no session")
				}
			}
		}}
	}
	return []lap.Contender{
		ours(rowOurs, extract.Trail()),
		ours(rowDefault, extract.Default()),
		{Name: rowPlain, Size: size, Do: func(n int) {
			for i := range n {
				if plain.Messages(list[i%len(list)]) == "" {
					panic("no session")
				}
			}
		}},
		{Name: rowValid, Size: size, Do: func(n int) {
			for i := range n {
				if !gjson.ValidBytes(list[i%len(list)]) {
					panic("not valid")
				}
			}
		}},
		{Name: "a pass over memory", Size: size, Do: func(n int) {
			for i := range n {
				if bytes.Count(list[i%len(list)], []byte{'}'}) == 0 {
					panic("no end")
				}
			}
		}},
	}
}

// hostile: bodies built to hurt.
func hostile(s *session) (result.Group, error) {
	const size = 2 << 20
	g := result.Group{
		Title: "bodies built to hurt, 2 MB each, by the whole chain of extract.Default",
		Notes: []string{"gjson.ValidBytes, on the same body, finds no session: it only says whether the body is well-formed."},
	}
	track := s.track
	track.Rounds = min(track.Rounds, 11)
	var worst result.Verdict
	for _, h := range bodies.Hostiles {
		body := h.Body(size)
		chain := extract.Default()
		req := new(extract.Request)
		race := track.Race(h.Name,
			lap.Contender{Name: rowOurs, Size: len(body), Do: func(n int) {
				for range n {
					*req = extract.Request{Body: body}
					chain.Extract(req)
				}
			}},
			lap.Contender{Name: rowValid, Size: len(body), Do: func(n int) {
				for range n {
					gjson.ValidBytes(body)
				}
			}},
		)
		inMillis(&race)
		g.Races = append(g.Races, race)
		v := result.Verdict{Target: "2 MB of " + h.Name, Value: race.Row(rowOurs).Spread(), Unit: "ms", Limit: 10, AtMost: true}
		if v.Value.Median > worst.Value.Median {
			worst = v
		}
		if !v.Met() {
			g.Verdicts = append(g.Verdicts, v)
		}
	}
	worst.Target = "the worst hostile body (" + worst.Target + ")"
	g.Verdicts = append([]result.Verdict{worst}, g.Verdicts...)
	return g, nil
}

// inMillis turns nanoseconds into milliseconds. The speed is lost.
func inMillis(race *result.Race) {
	race.Unit = "ms"
	for i := range race.Rows {
		row := &race.Rows[i]
		row.Size = 0
		for j := range row.Samples {
			row.Samples[j] /= 1e6
		}
	}
}
