# Stands for nginx:1.28-bookworm where no image registry is reached: Debian 12's own nginx 1.22, and curl for the check.
FROM scratch
ADD nginx.tar /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
