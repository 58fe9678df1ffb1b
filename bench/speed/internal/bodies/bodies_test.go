package bodies

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/go-affinity/affinity/extract"
)

func TestAgent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2 << 10, 32 << 10, 256 << 10} {
		for _, place := range []Place{Head, Middle, Tail} {
			body := Agent(size, 1, place, Member)
			require.InDelta(t, size, len(body), float64(size)/4+1000)
			require.Equal(t, ID, gjson.GetBytes(body, "conversation_id").Str)
			require.NotZero(t, gjson.GetBytes(body, "messages.#").Int())
			at := strings.Index(string(body), Member)
			switch place {
			case Head:
				require.Less(t, at, 5)
			case Middle:
				require.InDelta(t, size/2, at, float64(size)/4+1000)
			case Tail:
				require.Equal(t, len(body)-len(Member)-1, at)
			}
		}
		body := Agent(size, 1, "", "")
		require.NotContains(t, string(body), ID)
		require.Equal(t, body, Agent(size, 1, "", ""))
		require.NotEqual(t, body, Agent(size, 2, "", ""))
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for _, format := range Formats {
		body := format.Body(32<<10, 1)
		require.InDelta(t, 32<<10, len(body), 9000, format.Name)
		require.Equal(t, body, format.Body(32<<10, 1))
		require.NotEqual(t, body, format.Body(32<<10, 2))
		s, ok := extract.Default().Extract(&extract.Request{Body: body})
		require.True(t, ok, format.Name)
		require.Equal(t, "trail", s.Source)
		require.NotEmpty(t, s.Continues, "there are answers between the questions")
	}
}

func TestStyles(t *testing.T) {
	t.Parallel()
	for _, style := range Styles {
		for _, place := range []Place{Middle, Tail} {
			body := style.Body(256<<10, place)
			require.InDelta(t, 256<<10, len(body), 70_000, style.Name)
			require.Equal(t, ID, gjson.GetBytes(body, "conversation_id").Str)
			require.Equal(t, body, style.Body(256<<10, place))
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for _, shape := range Shapes {
		body := shape.Body(64<<10, 1)
		require.InDelta(t, 64<<10, len(body), 2000, shape.Name)
		require.Equal(t, body, shape.Body(64<<10, 1))
		require.NotEqual(t, body, shape.Body(64<<10, 2))
	}
}

func TestHostiles(t *testing.T) {
	t.Parallel()
	broken := 0
	for _, h := range Hostiles {
		body := h.Body(256 << 10)
		require.LessOrEqual(t, len(body), 256<<10, h.Name)
		require.Greater(t, len(body), 240<<10, h.Name)
		if !json.Valid(body) {
			broken++
		}
	}
	require.Equal(t, 4, broken, "those that do not end, or have escapes that are none")
	require.Panics(t, func() { valid("{") })
}
