package extract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestClass(t *testing.T) {
	t.Parallel()
	header := func(kv ...string) *extract.Request {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return &extract.Request{Header: h}
	}
	body := func(s string) *extract.Request { return &extract.Request{Body: []byte(s)} }
	for name, tt := range map[string]struct {
		req  *extract.Request
		want extract.Class
	}{
		"nothing at all":                   {&extract.Request{}, extract.Turn},
		"a plain chat":                     {says("be kind", "hello"), extract.Turn},
		"HEAD":                             {&extract.Request{Method: "HEAD", Path: "/"}, extract.Probe},
		"OPTIONS":                          {&extract.Request{Method: "OPTIONS"}, extract.Probe},
		"GET is no probe":                  {&extract.Request{Method: "GET", Path: "/v1/responses/resp_1"}, extract.Turn},
		"Anthropic counts tokens":          {&extract.Request{Path: "/v1/messages/count_tokens"}, extract.Probe},
		"Gemini counts tokens":             {&extract.Request{Path: "/v1beta/models/m:countTokens"}, extract.Probe},
		"OpenAI counts tokens":             {&extract.Request{Path: "/v1/responses/input_tokens"}, extract.Probe},
		"an embedding":                     {&extract.Request{Path: "/v1/embeddings"}, extract.Auxiliary},
		"Vertex AI computes tokens":        {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/google/models/m:computeTokens"}, extract.Probe},
		"vLLM tokenizes":                   {&extract.Request{Path: "/tokenize"}, extract.Probe},
		"Ollama embeds":                    {&extract.Request{Path: "/api/embed"}, extract.Auxiliary},
		"documents are ranked":             {&extract.Request{Path: "/v2/rerank"}, extract.Auxiliary},
		"an image":                         {&extract.Request{Path: "/v1/images/generations"}, extract.Auxiliary},
		"an image is changed":              {&extract.Request{Path: "/v1/images/edits"}, extract.Auxiliary},
		"text to speech":                   {&extract.Request{Path: "/v1/audio/speech"}, extract.Auxiliary},
		"speech to text":                   {&extract.Request{Path: "/v1/audio/transcriptions"}, extract.Auxiliary},
		"speech to English":                {&extract.Request{Path: "/v1/audio/translations"}, extract.Auxiliary},
		"a conversation is listed":         {&extract.Request{Path: "/v1/conversations"}, extract.Turn},
		"OpenAI compacts":                  {&extract.Request{Path: "/v1/responses/compact"}, extract.Compaction},
		"Claude Code says main":            {header("X-Claude-Code-Request-Class", "main"), extract.Turn},
		"Claude Code says subagent":        {header("X-Claude-Code-Request-Class", "subagent"), extract.Subagent},
		"Claude Code says workflow":        {header("X-Claude-Code-Request-Class", "workflow"), extract.Subagent},
		"Claude Code says compaction":      {header("X-Claude-Code-Request-Class", "compaction"), extract.Compaction},
		"Claude Code says auxiliary":       {header("X-Claude-Code-Request-Class", "auxiliary"), extract.Auxiliary},
		"Claude Code says something new":   {header("X-Claude-Code-Request-Class", "dream"), extract.Turn},
		"Claude Code compacts":             {header("X-Claude-Code-Compaction", "auto"), extract.Compaction},
		"Claude Code's sub-agent":          {header("X-Claude-Code-Agent-Id", "a1e37403a36fc420c"), extract.Subagent},
		"Codex reviews":                    {header("X-Openai-Subagent", "review"), extract.Subagent},
		"Codex compacts":                   {header("X-Openai-Subagent", "compact"), extract.Compaction},
		"a sub-agent of a fork of Codex":   {header("X-Openai-Subagent", "explorer"), extract.Subagent},
		"OpenCode's sub-agent":             {header("X-Parent-Session-Id", "ses_parent"), extract.Subagent},
		"Codex remembers":                  {header("X-Openai-Subagent", "memory_consolidation"), extract.Auxiliary},
		"Codex prewarms":                   {header("X-Codex-Turn-Metadata", `{"turn_id":"x","request_kind":"prewarm"}`), extract.Probe},
		"Codex compacts, it says itself":   {header("X-Codex-Turn-Metadata", `{"request_kind":"compaction"}`), extract.Compaction},
		"Codex remembers, it says itself":  {header("X-Codex-Turn-Metadata", `{"request_kind":"memory"}`), extract.Auxiliary},
		"Codex takes a turn":               {header("X-Codex-Turn-Metadata", `{"request_kind":"turn"}`), extract.Turn},
		"Codex's metadata is there twice":  {&extract.Request{Header: http.Header{"X-Codex-Turn-Metadata": {`{"request_kind":"prewarm"}`, `{"request_kind":"compaction"}`}}}, extract.Turn},
		"Codex's sub-agent, by its body":   {body(`{"client_metadata":{"x-openai-subagent":"collab_spawn"},"input":"x"}`), extract.Subagent},
		"Codex compacts, by its body":      {body(`{"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"compaction\"}"},"input":"x"}`), extract.Compaction},
		"Codex takes a turn, by its body":  {body(`{"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"turn\"}"},"input":"x"}`), extract.Turn},
		"Codex's metadata is broken":       {header("X-Codex-Turn-Metadata", `{"request_kind":`), extract.Turn},
		"Copilot's sub-agent":              {header("X-Interaction-Type", "conversation-subagent"), extract.Subagent},
		"Copilot's background":             {header("X-Interaction-Type", "conversation-background"), extract.Auxiliary},
		"Copilot compacts":                 {header("X-Interaction-Type", "conversation-compaction"), extract.Compaction},
		"Claude Code names a session":      {says("You are naming a coding session for somebody", "x"), extract.Auxiliary},
		"behind the billing header":        {body(`{"system":[{"type":"text","text":"x-anthropic-billing-header: v;"},{"type":"text","text":"You are Claude Code"},{"type":"text","text":"You are naming a coding session"}],"messages":[{"role":"user","content":"x"}]}`), extract.Auxiliary},
		"Crush titles":                     {says("You will generate a short title based on", "x"), extract.Auxiliary},
		"a title is asked for":             {says("", "Please write a 5-10 word title for the following"), extract.Auxiliary},
		"Open WebUI titles":                {says("", `### Task:\nGenerate a concise, 3-5 word title`), extract.Auxiliary},
		"Open WebUI's tags":                {says("", `### Task:\nGenerate 1-3 broad tags categorizing`), extract.Auxiliary},
		"Open WebUI's image":               {says("", `### Task:\nGenerate a detailed prompt for am image generation`), extract.Auxiliary},
		"Open WebUI's follow-ups":          {says("", `### Task:\nSuggest 3-5 relevant follow-up questions`), extract.Auxiliary},
		"Open WebUI's searches":            {says("", `### Task:\nAnalyze the chat history to determine the necessity`), extract.Auxiliary},
		"Open WebUI completes":             {says("", `### Task:\nYou are an autocompletion system.`), extract.Auxiliary},
		"somebody has a task":              {says("", `### Task:\nGenerate function 0 for oslo`), extract.Turn},
		"somebody wants a suggestion":      {says("", `### Task:\nSuggest a name`), extract.Turn},
		"Claude Code suggests":             {says("main", "[SUGGESTION MODE: what would"), extract.Auxiliary},
		"Claude Code summarises":           {says("main", "CRITICAL: Respond with TEXT ONLY. Do not"), extract.Compaction},
		"a person writes about titles":     {says("", "How would I write: Please write a 5-10 word title"), extract.Turn},
		"quota probe":                      {body(`{"max_tokens":1,"messages":[{"role":"user","content":"quota"}]}`), extract.Probe},
		"quota, but more than a token":     {body(`{"max_tokens":100,"messages":[{"role":"user","content":"quota"}]}`), extract.Turn},
		"one token of something else":      {body(`{"max_tokens":1,"messages":[{"role":"user","content":"yes or no?"}]}`), extract.Turn},
		"warm-up":                          {body(`{"messages":[{"role":"user","content":"Warmup"}]}`), extract.Probe},
		"warm-up in mid-conversation":      {body(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"Warmup"}]}`), extract.Turn},
		"broken body":                      {body(`{"max_tokens":1,"messages":[`), extract.Turn},
		"the opening is longer than shown": {says("You are naming", "x"), extract.Turn},
	} {
		require.Equal(t, tt.want, tt.req.Class(), name)
	}
}

// says returns a request with texts that are JSON between quotes.
func says(system, person string) *extract.Request {
	return &extract.Request{Body: []byte(`{"system":"` + system + `","messages":[{"role":"user","content":"` + person + `"}]}`)}
}

// TestSideCallsOfClients has what clients open their side calls with, as it is in their
// sources.
func TestSideCallsOfClients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		system, person string
		want           extract.Class
	}{
		{"You are an anchored context summarization assistant for coding sessions.", "x", extract.Compaction},                                     // OpenCode
		{"main", "Provide a detailed prompt for continuing our conversation above.", extract.Compaction},                                          // OpenCode before
		{"You are a context summarization assistant. Your task is to read a conversation", "<conversation>", extract.Compaction},                  // pi
		{"main", "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary", extract.Compaction},                              // Codex
		{"You are a helpful assistant that compacts conversation context.", "## Message 1", extract.Compaction},                                   // kimi-cli
		{"You are summarizing a conversation to preserve context for continuing work later.", "x", extract.Compaction},                            // Crush
		{"main", "Provide a detailed summary of our conversation above.", extract.Compaction},                                                     // Crush
		{`\nYou are a specialized system component responsible for distilling chat history`, "x", extract.Compaction},                             // Gemini CLI
		{"main", "Analyze *only* the content and structure of your immediately preceding response", extract.Auxiliary},                            // Gemini CLI
		{"You are a diagnostic agent that determines whether a conversational AI assistant is stuck", "x", extract.Auxiliary},                     // Gemini CLI
		{`\nYou are a specialized Task Routing AI. Your sole function`, "x", extract.Auxiliary},                                                   // Gemini CLI
		{"", "Summarize the user's primary intent or goal in this conversation in ONE sentence", extract.Auxiliary},                               // Gemini CLI
		{`## Task Context\n- An llm context limit was reached when a user was`, "x", extract.Compaction},                                          // Goose
		{"Generate a short title (four words or less) for this conversation.", "x", extract.Auxiliary},                                            // Goose
		{"main", "Generate a concise 3-7 word title for this conversation, omitting punctuation.", extract.Auxiliary},                             // Zed
		{"", "Provide a concise, 5-word-or-less title for the conversation, using title case", extract.Auxiliary},                                 // LibreChat
		{"You are an expert in crafting pithy titles for chatbot conversations.", "x", extract.Auxiliary},                                         // Copilot Chat
		{"Your task is to create a comprehensive, detailed summary of the entire conversation", "x", extract.Compaction},                          // Copilot Chat
		{"You are Title Generator, an expert assistant that analyzes user tasks", "x", extract.Auxiliary},                                         // Forge
		{"Generate a very short title (3-6 words) for a coding session based on", "x", extract.Auxiliary},                                         // Oh-my-pi
		{`You are a chat thread titling assistant.\nGoal:`, "x", extract.Auxiliary},                                                               // HuggingChat
		{"You are an AI conversation titles assistant who specializes in", "x", extract.Auxiliary},                                                // big-AGI
		{"You are a conversation title generator. Summarize", "x", extract.Auxiliary},                                                             // Letta Code
		{"You are a helpful assistant that generates concise, descriptive titles for conversations with OpenHands.", "x", extract.Auxiliary},      // OpenHands
		{"", "You are maintaining a context-aware state summary for an interactive agent.", extract.Compaction},                                   // OpenHands
		{"Generate a concise session title (max 50 characters) based on", "x", extract.Auxiliary},                                                 // kimi-cli
		{"Generate concise conversation titles.", "x", extract.Auxiliary},                                                                         // gptme
		{"", `Create a concise, 3-6 word title.\n\n**Notes**:`, extract.Auxiliary},                                                                // aichat
		{"", "Summarize the discussion briefly in 200 words or less to use as a prompt", extract.Compaction},                                      // aichat
		{"main", "Summarize this conversation for a new Assistant", extract.Compaction},                                                           // Mux
		{"main", "Create a comprehensive summary of this conversation that captures all essential", extract.Compaction},                           // Continue
		{"main", "Please provide a concise summary of our conversation so far, capturing the key context", extract.Compaction},                    // Continue CLI
		{"You are an expert coding assistant. Your goal is to generate a concise, structured summary", "x", extract.Compaction},                   // Avante
		{"You are a helpful AI assistant tasked with summarizing conversations.", "Summarize the conversation so far", extract.Compaction},        // Roo Code
		{"You are a context routing agent for a coding AI session.", "Query", extract.Auxiliary},                                                  // Gemini CLI
		{"You are an expert Context Memory Manager. You maintain", "x", extract.Auxiliary},                                                        // Gemini CLI
		{`\nYou are an expert code-editing assistant specializing in debugging and correcting failed search-and-replace`, "x", extract.Auxiliary}, // Gemini CLI
		{`\nYou are an expert code-editing assistant. Your task is to analyze a failed edit attempt and`, "x", extract.Auxiliary},                 // Gemini CLI
		{"", "Summarize this file in 2-3 sentences. Be technical and specific about", extract.Auxiliary},                                          // Gemini CLI
		{"You are an expert context compressor. Your job", "x", extract.Compaction},                                                               // Gemini CLI
		{"", `### State Update: Agent Continuity\n\nThe`, extract.Compaction},                                                                     // Gemini CLI
		{`\nYou are the component that summarizes internal chat history into a given structure.`, "x", extract.Compaction},                        // Qwen Code
		{"You name chat sessions. Given the", "x", extract.Auxiliary},                                                                             // Hermes
		{"", "You are a summarization agent creating a context checkpoint. Treat", extract.Compaction},                                            // Hermes
		{"You are a workspace naming assistant. Your", "x", extract.Auxiliary},                                                                    // Mux
		{"You are running a compaction/summarization pass. Your", "x", extract.Compaction},                                                        // Mux
		{"You are a conversation summarizer. Produce a concise", "x", extract.Compaction},                                                         // Microsoft Agent Framework
		{"", "Please generate a four to five word title summarizing our conversation without", extract.Auxiliary},                                 // NextChat
		{"", "Generate a concise title (max 5 words) for this conversation based", extract.Auxiliary},                                             // Copilot for Obsidian
		{"", "Given the following conversation and a follow up question, rephrase the", extract.Auxiliary},                                        // LangChain
		{"", `<role>\nContext Extraction Assistant\n</role>`, extract.Compaction},                                                                 // LangChain
		{"", "Progressively summarize the lines of conversation provided, adding", extract.Compaction},                                            // LangChain before
		{"main", "Based on our full conversation history, produce a concise summary of", extract.Compaction},                                      // AstrBot
		{"Summarize the discussion briefly in 200 words", "x", extract.Turn},                                                                      // nobody: it is a person's opening
		{"You are a diagnostic agent that determines whether a patient needs urgent care.", "x", extract.Turn},
		{"Your task is to create a comprehensive, detailed summary of the entire document.", "x", extract.Turn},
		{"You are an expert coding assistant. Answer briefly.", "Generate a title for my talk", extract.Turn}, // nobody
		{"You are a helpful assistant that generates SQL.", "Summarize the discussion below", extract.Turn},   // nobody
	} {
		require.Equal(t, tt.want, says(tt.system, tt.person).Class(), "%s / %s", tt.system, tt.person)
	}
}

// Titles are asked for in words without number: in a system prompt alone, for a
// conversation, of a model that has nothing else to do.
func TestTitlesInAnyWords(t *testing.T) {
	t.Parallel()
	const titler = "You are a professional conversation summarizer. Generate a concise title that captures" // LobeChat
	for system, want := range map[string]extract.Class{
		titler: extract.Auxiliary,
		"Generate a very short chat title (2-5 words max) based on the user's message.":                   extract.Auxiliary,
		"You generate concise, human-readable titles for coding sessions.":                                extract.Auxiliary,
		"You will create a sentence-case title for the thread below.":                                     extract.Auxiliary,
		"You are a conversation-savvy assistant. Summarize the conversation into a title within 5 words.": extract.Auxiliary, // LobeChat before
		"You are a chatbot that generates titles for articles.":                                           extract.Turn,
		"You create subtitles for a recorded session.":                                                    extract.Turn,
		"You are a helpful assistant in a long conversation.":                                             extract.Turn,
		"You generate headlines. " + strings.Repeat("x", 200) + " Give the chat a title.":                 extract.Turn,
	} {
		require.Equal(t, want, says(system, "x").Class(), system)
	}
	for _, body := range []string{
		`{"system":"` + titler + `","tools":[{"name":"a"}],"messages":[{"role":"user","content":"x"}]}`,
		`{"system":"` + titler + `","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}]}`,
		`{"messages":[{"role":"user","content":"` + titler + `"}]}`,
		`{"systemInstruction":"` + titler + `","toolConfig":{"tools":[]},"contents":[{"role":"user","parts":[{"text":"x"}]}]}`,
	} {
		require.Equal(t, extract.Turn, (&extract.Request{Body: []byte(body)}).Class(), body)
	}
	require.Equal(t, extract.Auxiliary, (&extract.Request{
		Body: []byte(`{"system":"` + titler + `","tools":[],"messages":[{"role":"user","content":"x"}]}`),
	}).Class())
}

func TestClassNames(t *testing.T) {
	t.Parallel()
	beside := map[extract.Class]bool{extract.Probe: true, extract.Auxiliary: true, extract.Compaction: true}
	for c := extract.Turn; c <= extract.Compaction; c++ {
		require.Regexp(t, "^[a-z]+$", c.String())
		require.Equal(t, beside[c], c.Beside(), c)
	}
	require.Equal(t, "<unknown extract.Class>", extract.Class(99).String())
	for c := extract.Explicit; c <= extract.Derived; c++ {
		require.Regexp(t, "^[a-z]+$", c.String())
	}
	require.Equal(t, "<unknown extract.Confidence>", extract.Confidence(99).String())
}

// A session comes with the class that the headers of its own client tell.
func TestSessionsCarryTheirClass(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    http.Header
		path string
		want extract.Class
	}{
		"Claude Code":         {http.Header{"X-Claude-Code-Session-Id": {"s"}, "X-Claude-Code-Request-Class": {"auxiliary"}}, "", extract.Auxiliary},
		"Codex":               {http.Header{"Session-Id": {"s"}, "X-Openai-Subagent": {"compact"}}, "", extract.Compaction},
		"Copilot CLI":         {http.Header{"X-Client-Session-Id": {"s"}, "X-Interaction-Type": {"conversation-background"}}, "", extract.Auxiliary},
		"OpenCode":            {http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, "", extract.Subagent},
		"OpenCode counts":     {http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, "/v1/messages/count_tokens", extract.Probe},
		"by the path":         {http.Header{"X-Session-Id": {"s"}}, "/v1/messages/count_tokens", extract.Probe},
		"another's header":    {http.Header{"X-Session-Id": {"s"}, "X-Openai-Subagent": {"compact"}}, "", extract.Turn},
		"a turn like another": {http.Header{"X-Session-Id": {"s"}}, "/v1/messages", extract.Turn},
	} {
		s, ok := extract.Default().Extract(&extract.Request{Header: tt.h, Path: tt.path})
		require.True(t, ok, name)
		require.Equal(t, tt.want, s.Class, name)
	}
	// What is known by its body, or from elsewhere, comes with what any client says.
	chain := append(extract.Default(), extract.Body("ticket"), extract.Metadata("session"))
	for _, body := range []string{
		`,"conversation_id":"c"}`, `,"prompt_cache_key":"c"}`, `,"metadata":{"user_id":"u"}}`, `,"metadata":{"user_id":"{\"session_id\":\"s\"}"}}`,
		`,"previous_response_id":"resp_1"}`, `,"messages":[{"role":"user","content":"hi"}]}`, `,"ticket":"t"}`, `}`,
	} {
		for _, size := range []int{0, 20 << 10} {
			for _, side := range []*extract.Request{
				{Path: "/v1/messages/count_tokens"},
				{Header: http.Header{"X-Interaction-Type": {"conversation-background"}}},
				{Header: http.Header{"x-interaction-type": {"conversation-background"}, "accept": {"*/*"}}},
			} {
				req := &extract.Request{Header: side.Header, Path: side.Path, Metadata: map[string]string{"session": "m"}}
				req.Body = []byte(`{"y":"` + strings.Repeat("y", size) + `"` + body)
				s, ok := chain.Extract(req)
				require.True(t, ok, req.Body)
				require.True(t, s.Class.Beside(), "%s: %s", s.Source, body)
				require.Equal(t, req.Class(), s.Class, body)
			}
		}
	}
	// None of these headers is overlooked.
	for name, value := range map[string]string{
		"X-Claude-Code-Request-Class": "workflow", "X-Claude-Code-Compaction": "auto", "X-Claude-Code-Agent-Id": "a1",
		"X-Openai-Subagent": "review", "X-Codex-Turn-Metadata": `{"request_kind":"memory"}`, "X-Interaction-Type": "conversation-subagent",
		"X-Parent-Session-Id": "p",
	} {
		req := &extract.Request{Header: http.Header{name: {value}, "Content-Type": {"application/json"}}, Body: []byte(`{"conversation_id":"c"}`)}
		s, ok := extract.Default().Extract(req)
		require.True(t, ok)
		require.NotEqual(t, extract.Turn, s.Class, name)
		require.Equal(t, (&extract.Request{Header: req.Header}).Class(), s.Class, name)
	}
}
