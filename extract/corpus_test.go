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

// seeds returns the bodies of the corpus for fuzzers, cut down to a few
// hundred bytes: what matters is their shape.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	var small [][]byte
	for _, c := range corpus(t) {
		var v any
		require.NoError(t, json.Unmarshal(c.Body, &v))
		b, err := json.Marshal(shorten(v))
		require.NoError(t, err)
		small = append(small, b)
	}
	return small
}

// shorten cuts the texts in a JSON value to a few words.
func shorten(v any) any {
	switch v := v.(type) {
	case string:
		const head, tail = 48, 24
		if len(v) > head+tail && !json.Valid([]byte(v)) {
			return string(bytes.ToValidUTF8([]byte(v[:head]+v[len(v)-tail:]), nil))
		}
	case []any:
		for i := range v {
			v[i] = shorten(v[i])
		}
	case map[string]any:
		delete(v, "tools")
		for k := range v {
			v[k] = shorten(v[k])
		}
	}
	return v
}
