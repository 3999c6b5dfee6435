import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "uplot/dist/uPlot.min.css";
import "./theme.css";
import { createTheme, MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { ApiError } from "./api/http";
import { App, ready } from "./app";
import { heedHistory } from "./components/leaving";
import { TimeProvider } from "./components/time";

const theme = createTheme({
  fontFamily: 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: "var(--mono)",
  fontSizes: { xs: "12px", sm: "13px", md: "13.5px", lg: "15px", xl: "18px" },
  defaultRadius: 6,
  primaryColor: "blue",
  primaryShade: { light: 8, dark: 8 }, // white on it can be read
  cursorType: "pointer",
});

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      refetchOnWindowFocus: false,
      // A refusal stays one; a server that is away or overloaded is asked again.
      retry: (failures, error) =>
        failures < 2 &&
        error instanceof ApiError &&
        (error.status === 0 || error.status === 503 || error.status === 429),
    },
  },
});

heedHistory();
const root = createRoot(document.getElementById("root")!);
// What cannot be loaded now says so in its place.
void ready(location.pathname)
  .catch(() => undefined)
  .then(() =>
    root.render(
      <StrictMode>
        <MantineProvider theme={theme} defaultColorScheme="auto">
          <QueryClientProvider client={client}>
            <BrowserRouter>
              <TimeProvider>
                <App />
              </TimeProvider>
            </BrowserRouter>
            <Notifications position="bottom-right" />
          </QueryClientProvider>
        </MantineProvider>
      </StrictMode>,
    ),
  );
