/* A program for images from scratch: serve PORT | check PORT | wait | exit CODE. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int on_port(const char *port, int server) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!server) return connect(s, (struct sockaddr *)&address, sizeof address) == 0 ? s : -1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return bind(s, (struct sockaddr *)&address, sizeof address) == 0 && listen(s, 8) == 0 ? s : -1;
}

int main(int count, char **words) {
  const char *what = count > 1 ? words[1] : "", *word = count > 2 ? words[2] : "0";
  if (getenv("PORT") && strcmp(word, "PORT") == 0) word = getenv("PORT");
  if (strcmp(what, "exit") == 0) return atoi(word);
  if (strcmp(what, "check") == 0) return on_port(word, 0) < 0;
  if (strcmp(what, "wait") == 0) for (;;) pause();
  signal(SIGPIPE, SIG_IGN);
  int listening = on_port(word, 1);
  if (listening < 0) return 7;
  for (;;) {
    char request[4096] = "";
    int client = accept(listening, NULL, NULL);
    if (read(client, request, sizeof request - 1) > 0) {
      const char *answer = strncmp(request, "GET /bad", 8) == 0 ? "HTTP/1.0 500 No\r\n\r\n" : "HTTP/1.0 200 OK\r\n\r\n";
      if (write(client, answer, strlen(answer)) < 0) perror("write");
    }
    close(client);
  }
}
