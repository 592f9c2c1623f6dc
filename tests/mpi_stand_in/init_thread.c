/* Preloaded: an MPI that cannot start. */
int MPI_Init_thread(int* argc, char*** argv, int required, int* provided);
int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  (void)argc, (void)argv, (void)required, (void)provided;
  return 16; /* any code but MPI_SUCCESS, which is 0 */
}
