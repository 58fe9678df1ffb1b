package extract_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// captured is one request of a real client; see testdata/README.md.
type captured struct {
	Client  string          `json:"client"`
	Session string          `json:"session"`
	Seq     int             `json:"seq"`
	Path    string          `json:"path"`
	Header  http.Header     `json:"header"`
	Body    json.RawMessage `json:"body"`
}

func corpus(t testing.TB) []captured {
	t.Helper()
	f, err := os.Open("testdata/clients.jsonl.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var all []captured
	for s := bufio.NewReader(z); ; {
		line, err := s.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var c captured
			require.NoError(t, json.Unmarshal(line, &c))
			all = append(all, c)
		}
		if err != nil {
			return all
		}
	}
}

func TestScratch(t *testing.T) {
	known := map[string]string{}
	for _, c := range corpus(t) {
		req := &extract.Request{Body: c.Body}
		s, ok := extract.Trail().Extract(req)
		require.True(t, ok)
		how := "new"
		if v, ok := known[s.ID]; ok {
			how = "own " + v
		} else {
			for i, k := range s.Continues {
				if v, ok := known[k]; ok {
					how = "continues " + v + " at " + string(rune('0'+i)) 
					break
				}
			}
			if how == "new" {
				for _, k := range s.Near {
					if v, ok := known[k]; ok {
						how = "near " + v
						break
					}
				}
			}
		}
		t.Log(c.Client, c.Session, c.Seq, how, len(s.Continues), len(s.Near), len(s.Aliases))
		known[s.ID] = c.Session
		for _, a := range s.Aliases {
			known[a] = c.Session
		}
	}
}
